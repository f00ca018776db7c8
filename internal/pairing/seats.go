package pairing

import "errors"

// ErrFull says that both seats of a pairing are taken.
var ErrFull = errors.New("pairing: both seats are taken")

// Seats are the places of the clients of one process: two for each pairing (PSX-24). The zero value is ready for use.
// It is not safe for concurrent use.
type Seats[C comparable] struct {
	taken map[string][]C // by the pairing's hash; one or two clients, the initiator first
}

// Take seats a client and returns the one that waited, which is the initiator; ok is false if the client is the first
// and waits. It fails with ErrFull, and changes nothing then.
func (s *Seats[C]) Take(hash string, c C) (initiator C, ok bool, err error) {
	if s.taken == nil {
		s.taken = make(map[string][]C)
	}
	seated := s.taken[hash]
	if len(seated) == 2 {
		return initiator, false, ErrFull
	}
	s.taken[hash] = append(seated, c)
	if len(seated) == 0 {
		return initiator, false, nil
	}
	return seated[0], true, nil
}

// Leave frees the client's seat. As one side's end ends the other's connection too (PSX-30), it frees both: who comes
// next is a first client, and is not given a partner that is about to go.
func (s *Seats[C]) Leave(hash string, c C) {
	for _, seated := range s.taken[hash] {
		if seated == c {
			delete(s.taken, hash)
			return
		}
	}
}

// Len returns how many pairings have a client.
func (s *Seats[C]) Len() int { return len(s.taken) }

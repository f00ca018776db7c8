package peersox

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// maxMemoryEntries bounds what strangers can make a memory store hold: each pairing and each token is one or two.
const maxMemoryEntries = 1 << 20

// NewMemoryStore returns a store in memory. It needs no goroutine and forgets what has expired as it is used.
func NewMemoryStore() Store {
	return &memoryStore{entries: make(map[memoryKey]memoryEntry)}
}

type memoryKind byte

const (
	memoryCode memoryKind = iota
	memoryHash
	memoryToken
)

type memoryKey struct {
	kind memoryKind
	name string
}

type memoryEntry struct {
	value   string
	expires time.Time
}

type memoryStore struct {
	mu      sync.Mutex
	entries map[memoryKey]memoryEntry
	order   expiries // one for each time that an entry was set; those of entries that were set again are stale
}

// put sets an entry. The caller holds the mutex.
func (m *memoryStore) put(k memoryKey, value string, life time.Duration) {
	expires := time.Now().Add(life)
	m.entries[k] = memoryEntry{value, expires}
	heap.Push(&m.order, expiry{expires, k})
}

// clean drops what has expired. The caller holds the mutex.
func (m *memoryStore) clean() {
	for now := time.Now(); len(m.order) > 0 && !now.Before(m.order[0].at); {
		e := heap.Pop(&m.order).(expiry)
		if m.entries[e.key].expires.Equal(e.at) {
			delete(m.entries, e.key)
		}
	}
}

func (m *memoryStore) AddPairing(_ context.Context, code, hash string, life time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clean()
	if len(m.order)+2 > maxMemoryEntries {
		return false, ErrStoreFull
	}
	c, h := memoryKey{memoryCode, code}, memoryKey{memoryHash, hash}
	if m.entries[c].value != "" || m.entries[h].value != "" {
		return false, nil
	}
	m.put(c, hash, life)
	m.put(h, code, life)
	return true, nil
}

func (m *memoryStore) TakeCode(_ context.Context, code string, life time.Duration) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clean()
	c := memoryKey{memoryCode, code}
	hash := m.entries[c].value
	if hash != "" {
		delete(m.entries, c)
		m.put(memoryKey{memoryHash, hash}, code, life)
	}
	return hash, nil
}

func (m *memoryStore) CheckPairing(_ context.Context, code, hash string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clean()
	return code != "" && m.entries[memoryKey{memoryHash, hash}].value == code, nil
}

func (m *memoryStore) AddToken(_ context.Context, token string, life time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clean()
	if len(m.order)+1 > maxMemoryEntries {
		return ErrStoreFull
	}
	m.put(memoryKey{memoryToken, token}, "token", life)
	return nil
}

func (m *memoryStore) TakeToken(_ context.Context, token string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clean()
	k := memoryKey{memoryToken, token}
	_, ok := m.entries[k]
	delete(m.entries, k)
	return ok, nil
}

type expiry struct {
	at  time.Time
	key memoryKey
}

// expiries is a heap, the earliest first.
type expiries []expiry

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *expiries) Push(x any)        { *e = append(*e, x.(expiry)) }
func (e *expiries) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

package conformance

import (
	"os"
	"sync"
	"time"
)

// An inbox keeps what came from somewhere until a case asks for it.
type inbox[T any] struct {
	mu      sync.Mutex
	items   []T
	end     error         // non-nil when nothing more can come
	changed chan struct{} // closed at each change of the two above
}

func newInbox[T any]() *inbox[T] { return &inbox[T]{changed: make(chan struct{})} }

func (b *inbox[T]) add(x T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		b.items = append(b.items, x)
		b.change()
	}
}

func (b *inbox[T]) close(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		b.end = err
		b.change()
	}
}

func (b *inbox[T]) change() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// take returns the first one so far, or to come in time, that matches, and takes
// it out. Others stay. The error is os.ErrDeadlineExceeded or why nothing can come.
func (b *inbox[T]) take(until time.Time, match func(T) bool) (T, error) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	var none T
	for {
		b.mu.Lock()
		for i, x := range b.items {
			if match(x) {
				b.items = append(b.items[:i:i], b.items[i+1:]...)
				b.mu.Unlock()
				return x, nil
			}
		}
		end, changed := b.end, b.changed
		b.mu.Unlock()
		if end != nil {
			return none, end
		}
		select {
		case <-changed:
		case <-timer.C:
			return none, os.ErrDeadlineExceeded
		}
	}
}

// all returns what is there.
func (b *inbox[T]) all() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]T{}, b.items...)
}

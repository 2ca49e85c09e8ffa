package harness

import (
	"sync"

	"github.com/faultline/faultline/harness/history"
)

// report is what a worker tells the dispatching loop when it is free again.
type report struct {
	// op is the completion; its type is Invoke where the operation was not begun.
	op history.Op
	// err is the harness's failure: the run ends with it.
	err error
}

// mailbox collects reports, so that the loop takes many at each wake-up.
type mailbox struct {
	mu      sync.Mutex
	reports []report
	wake    chan struct{}
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// post never waits.
func (m *mailbox) post(r report) {
	m.mu.Lock()
	m.reports = append(m.reports, r)
	first := len(m.reports) == 1
	m.mu.Unlock()
	if first {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// take returns everything posted and goes on with an empty slice.
func (m *mailbox) take(empty []report) []report {
	m.mu.Lock()
	out := m.reports
	m.reports = empty[:0]
	m.mu.Unlock()
	return out
}

package declared

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// How a container ended, in history.RuntimeSpan.End.
const (
	EndExited  = "exited"
	EndStopped = "stopped"
	EndLost    = "lost"
)

// Events of a runtime's log.
const (
	eventBegin  = "begin"
	eventStart  = "start"
	eventExit   = "exit"
	eventStop   = "stop"
	eventRemove = "remove"
)

// event is a line of a runtime's log.
type event struct {
	T         int64  `json:"t"` // nanoseconds since 1970, by the node's clock
	Event     string `json:"event"`
	Pod       string `json:"pod"`
	UID       string `json:"uid"`
	Container string `json:"container"`
	ID        string `json:"id"`
	Exit      int32  `json:"exit"`
}

// running is a container that has been started and not ended.
type running struct {
	event
	order int
}

// Spans turns the log of a node's container runtime into evidence operations (history.FRuntime) of history.RuntimeSpan, one for each time
// that a container ran, in the order of their starts. The run began at began, by the node's clock; times in spans are relative to it.
//
// What was running when the runtime began again is lost: it ended some time before, and ToNS is the last sign of the runtime's life
// before that, so that a span is never longer than the container ran. What was running when the log was read is still running
// (ToNS 0). A last line that is torn, because the node died while it was written, is left out. The error is the reader's, or says which line is none.
func Spans(node string, log io.Reader, began time.Time) ([]history.Op, error) {
	s := spans{node: node, began: began.UnixNano(), running: map[string]running{}}
	r := bufio.NewReader(log)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the runtime log of %s: %w", node, err)
		}
		if err != nil { // torn, or empty
			break
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			// A node that died within a line begins the next one behind it.
			if i := bytes.LastIndex(line, []byte(`{"t":`)); i > 0 && json.Unmarshal(line[i:], &e) == nil {
				s.take(e)
				continue
			}
			return nil, fmt.Errorf("the runtime log of %s, line %d: %w", node, n, err)
		}
		s.take(e)
	}
	s.rest()
	return s.ops()
}

// spans are what a log told so far.
type spans struct {
	node    string
	began   int64
	last    int64 // the time of the last event
	starts  int
	running map[string]running
	done    []spanOf
}

// spanOf is a span with its place.
type spanOf struct {
	order int
	span  history.RuntimeSpan
}

func (s *spans) take(e event) {
	switch e.Event {
	case eventBegin:
		for id := range s.running {
			s.end(id, max(s.last, s.running[id].T), EndLost, nil)
		}
	case eventStart:
		s.running[e.ID] = running{e, s.starts}
		s.starts++
	case eventExit:
		s.end(e.ID, e.T, EndExited, &e.Exit)
	case eventStop:
		s.end(e.ID, e.T, EndStopped, nil)
	case eventRemove:
		// What is removed had ended before; if the log does not say how, it was stopped.
		s.end(e.ID, e.T, EndStopped, nil)
	}
	s.last = max(s.last, e.T)
}

// end closes the span of a container, if it has one open.
func (s *spans) end(id string, at int64, how string, exit *int32) {
	r, ok := s.running[id]
	if !ok {
		return
	}
	delete(s.running, id)
	span := s.open(r)
	span.ToNS, span.End, span.Exit = at-s.began, how, exit
	if span.ToNS == 0 {
		span.ToNS = 1 // 0 means that it still runs
	}
	s.done = append(s.done, spanOf{r.order, span})
}

func (s *spans) open(r running) history.RuntimeSpan {
	return history.RuntimeSpan{Pod: r.Pod, UID: r.UID, Container: r.Container, FromNS: r.T - s.began}
}

// rest are the containers that still run.
func (s *spans) rest() {
	for _, r := range s.running {
		s.done = append(s.done, spanOf{r.order, s.open(r)})
	}
}

func (s *spans) ops() ([]history.Op, error) {
	slices.SortFunc(s.done, func(a, b spanOf) int { return cmp.Compare(a.order, b.order) })
	ops := make([]history.Op, len(s.done))
	for i, d := range s.done {
		value, err := json.Marshal(d.span)
		if err != nil {
			return nil, fmt.Errorf("a span of %s: %w", s.node, err)
		}
		ops[i] = history.Op{Type: history.OK, Process: history.Evidence, F: history.FRuntime, Value: value, Node: s.node}
	}
	return ops, nil
}

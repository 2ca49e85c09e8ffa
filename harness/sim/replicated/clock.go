package replicated

import "time"

// Clock is imagined time and what is to happen in it. Events of one moment happen in the order in which they
// were planned. The zero value is the beginning. Not safe for concurrent use.
type Clock struct {
	now    time.Duration
	events []event // a binary heap, the soonest first
	order  uint64
}

type event struct {
	at    time.Duration
	order uint64
	do    func()
}

func (e *event) before(f *event) bool {
	return e.at < f.at || (e.at == f.at && e.order < f.order)
}

// Now is the imagined time.
func (c *Clock) Now() time.Duration { return c.now }

// Pass lets time go on to a moment before which nothing is to happen.
func (c *Clock) Pass(to time.Duration) { c.now = max(c.now, to) }

// After plans an event.
func (c *Clock) After(d time.Duration, do func()) {
	c.order++
	c.events = append(c.events, event{c.now + d, c.order, do})
	h := c.events
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h[i].before(&h[parent]) {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

// Next is when the soonest event is; ok is false if there is none.
func (c *Clock) Next() (at time.Duration, ok bool) {
	if len(c.events) == 0 {
		return 0, false
	}
	return c.events[0].at, true
}

// Step goes on to the soonest event and makes it happen.
func (c *Clock) Step() {
	h := c.events
	e := h[0]
	last := len(h) - 1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	c.events = h
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].before(&h[child]) {
			child++
		}
		if !h[child].before(&h[i]) {
			break
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
	c.now = e.at
	e.do()
}

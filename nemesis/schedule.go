package nemesis

import (
	"slices"
	"strconv"
	"time"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// attemptsMax is how often a fault that found nothing to act on is tried within its time.
const attemptsMax = 4

// schedule is the generator of start and stop operations. The n-th fault's family, request, variant, choices and planned time
// depend on the seed alone. How long operations take can only make one later than planned.
type schedule struct {
	interval time.Duration
	// limit ends it, 0: never: no fault starts then or later, and those in force are stopped.
	limit time.Duration
	// epoch is when it was first asked; the other times count from there.
	begun  bool
	epoch  time.Duration
	tracks []track
}

// track is a sequence of faults, of which at most one is in force.
type track struct {
	families []family
	offset   time.Duration
	// n is the number of the fault that is in force, or comes next; attempt, how often it was tried already.
	n, attempt int
	state      state
	fault      history.Fault // since starting
	due        time.Duration // of the next operation
}

// family is what was requested of one family.
type family struct {
	name     string
	requests []prepared
}

type prepared struct {
	Request
	action action
	deck   deck
}

// state is where a track's fault is.
type state uint8

const (
	waiting state = iota
	starting
	active
	stopping
)

func newSchedule(scope Scope, requests []Request, o Options) (*schedule, error) {
	var fs []family
	for _, r := range requests {
		a, err := prepare(r.Family, r.Words, scope)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(fs, func(f family) bool { return f.name == r.Family })
		if i < 0 {
			i = len(fs)
			fs = append(fs, family{name: r.Family})
		}
		fs[i].requests = append(fs[i].requests, prepared{r, a, deck{o.Seed, r.String()}})
	}
	s := &schedule{interval: o.Interval}
	if !o.Overlap {
		s.tracks = []track{{families: fs, offset: o.Interval / 4}}
	} else {
		s.tracks = spread(fs, o)
	}
	for i := range s.tracks {
		s.tracks[i].due = s.tracks[i].offset
	}
	return s, nil
}

// spread gives each family a track of its own, begun at a random moment of its own slice of the interval: families overlap in
// ever different ways, and do not all strike at one moment and rest at another.
func spread(fs []family, o Options) []track {
	slice := o.Interval / time.Duration(max(2, len(fs)))
	order := deck{o.Seed, "families"}.rand("order", 0).Perm(len(fs))
	tracks := make([]track, len(fs))
	for i, f := range fs {
		begin := time.Duration(deck{o.Seed, f.name}.rand("offset", 0).Int64N(max(1, int64(slice))))
		tracks[i] = track{families: []family{f}, offset: time.Duration(order[i])*slice + begin}
	}
	return tracks
}

// until is the schedule with an end.
func (s *schedule) until(limit time.Duration) *schedule {
	c := *s
	c.limit = limit
	return &c
}

// Next yields the operation that is due first, when the nemesis is free.
func (s *schedule) Next(ctx *generator.Context) (history.Op, generator.Status, generator.Generator) {
	if !s.begun {
		c := *s
		c.begun, c.epoch = true, ctx.Now
		return history.Op{Time: ctx.Now}, generator.Pending, &c
	}
	if !ctx.Threads.IsFree(generator.NemesisWorker) {
		return history.Op{}, generator.Pending, s
	}
	i, due := s.first(ctx.Now - s.epoch)
	if i < 0 {
		return history.Op{}, generator.Done, nil
	}
	next := s.copy()
	op := next.tracks[i].advance()
	op.Time = s.epoch + due
	return op, generator.Ready, next
}

// first is the track whose operation is due first, and when; -1 if nothing will ever be. Of operations that are late, the one
// that is latest goes first: no family waits for ever behind others.
func (s *schedule) first(now time.Duration) (track int, due time.Duration) {
	track = -1
	for i, t := range s.tracks {
		at := t.due
		if s.limit > 0 && max(at, now) >= s.limit {
			if t.state == waiting {
				continue
			}
			at = min(at, s.limit)
		}
		if track < 0 || at < due {
			track, due = i, at
		}
	}
	return track, max(due, now)
}

// advance begins the start or the stop that comes next, and returns its invocation.
func (t *track) advance() history.Op {
	op := history.Op{Type: history.Invoke, Process: history.Nemesis}
	if t.state == waiting {
		t.state, t.fault = starting, t.plan()
		op.F, op.Value = history.StartOf(t.fault.Family), encode(t.fault)
		t.fault.Detail = nil
		return op
	}
	t.state = stopping
	op.F, op.Value = history.StopOf(t.fault.Family), encode(t.fault)
	return op
}

// plan is the n-th fault.
func (t *track) plan() history.Fault {
	f := t.families[t.n%len(t.families)]
	i := t.n / len(t.families)
	r := f.requests[i%len(f.requests)]
	variant, draw := r.action.draw(r.deck, i/len(f.requests))
	id := f.name + "-" + strconv.Itoa(i+1)
	if t.attempt > 0 {
		id += "." + strconv.Itoa(t.attempt+1)
	}
	return history.Fault{
		ID: id, Family: f.name, Variant: Request{Words: variant}.words(), Requested: r.String(), Detail: encode(draw),
	}
}

// Update goes on when the start or stop of a track completed.
func (s *schedule) Update(ctx *generator.Context, event history.Op) generator.Generator {
	if event.Process != history.Nemesis || event.Type == history.Invoke {
		return s
	}
	for i, t := range s.tracks {
		if (t.state == starting && event.F == history.StartOf(t.fault.Family)) ||
			(t.state == stopping && event.F == history.StopOf(t.fault.Family)) {
			next := s.copy()
			next.tracks[i].completed(event.Type, ctx.Now-s.epoch, s.interval)
			return next
		}
	}
	return s
}

// completed decides what is due after a completion. A fault that came late still lasts a quarter of the interval, and is
// followed by as much time without it.
func (t *track) completed(outcome history.Type, now, interval time.Duration) {
	planned := t.offset + time.Duration(t.n)*interval
	switch {
	case t.state == starting && outcome != history.Fail:
		t.state, t.due = active, max(planned+interval/2, now+interval/4)
		return
	case t.state == starting:
		t.state, t.due = waiting, now+interval/8
		t.attempt++
		if t.attempt < attemptsMax && t.due < planned+interval/2 {
			return
		}
	}
	t.n++
	t.attempt, t.fault = 0, history.Fault{}
	t.state, t.due = waiting, max(planned+interval, now+interval/4)
}

func (s *schedule) copy() *schedule {
	c := *s
	c.tracks = slices.Clone(s.tracks)
	return &c
}

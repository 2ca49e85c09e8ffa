package checker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// CounterOptions choose what reads promise.
type CounterOptions struct {
	// Model is ModelLinearizable or ModelSerializable; empty takes it from Read.
	Model string
	// Read is the kind of read that the clients did.
	Read string
}

// Counter judges counters to which integers are added (f "add", the integer as value, negative ones included) and that are read (f
// "read", null → the sum; null is 0). Each Op.Key is a counter of its own, 0 at first. An add of unknown outcome may count in a read or
// not, and once or never.
//
// A read must lie between the least and the greatest sum that the adds allow, as in Jepsen's counter: those acknowledged before it began
// count, those invoked before it completed may. Where adds and reads have versions, those up to the read's version count and the acknowledged ones
// beyond do not, which is exact but for unknown outcomes.
//
//   - stale-read: the version is older than one acknowledged before the read began; or, without versions, the value is out of
//     bounds and a later read's is not. ModelSerializable allows it.
//   - lost-update: only increments, and the value is too low (only decrements: too high).
//   - garbage-read: the value is out of bounds otherwise.
//   - non-monotonic-read: only increments, and the value is less than in a read that was over before (only decrements: more). ModelSerializable
//     allows it.
//
// It does not decide linearizability: within the bounds, reads may still contradict each other. The error is ErrUnknownModel.
func Counter(o CounterOptions) (Checker, error) {
	model, err := promise(o.Model, o.Read)
	if err == nil && model == ModelCached {
		err = fmt.Errorf("%q: %w", model, ErrUnknownModel)
	}
	if err != nil {
		return nil, err
	}
	return counter{model}, nil
}

type counter struct{ model string }

// CounterDetail is the Detail of Counter.
type CounterDetail struct {
	Keys         int   `json:"keys"`
	Reads        int64 `json:"reads"`
	Adds         int64 `json:"adds"`
	Acknowledged int64 `json:"acknowledged"`
	// Loose is how far apart the bounds of a read were at most: what unknown outcomes leave open.
	Loose int64 `json:"loose"`
}

// counted is an add that may have happened, or an ok read.
type counted struct {
	// number is what was added, or the value that was read.
	number    int64
	version   int64
	call, ret int64
	index     int64
	process   history.Process
	node      string
}

// counterOf is one counter.
type counterOf struct {
	key string
	// acked and unknown are the adds.
	acked, unknown []counted
	reads          []counted
}

func (counter) Name() string { return "counter" }

func (c counter) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	j := counterJudge{model: c.model}
	counters := map[string]*counterOf{}
	err := j.f.clients(ctx, src, func(p history.Pair) error {
		if p.Invoke.F != fAdd && p.Invoke.F != fRead || p.Outcome() == history.Fail {
			return nil
		}
		one := counters[p.Invoke.Key]
		if one == nil {
			one = &counterOf{key: p.Invoke.Key}
			counters[p.Invoke.Key] = one
		}
		return one.take(p)
	})
	if err != nil {
		return Result{}, err
	}
	for _, key := range sortedKeys(counters) {
		j.judge(counters[key])
	}
	if j.d.Reads == 0 {
		j.f.unknown("nothing to check: no read of a counter was ok")
	}
	return j.f.result(fmt.Sprintf("%s, %s, %s of %s acknowledged, bounds at most %s apart", count(j.d.Keys, "counter", "counters"),
		count(j.d.Reads, "read", "reads"), thousands(j.d.Acknowledged), count(j.d.Adds, "add", "adds"), thousands(j.d.Loose)), j.d)
}

// take reads an operation that was ok or is of unknown outcome.
func (c *counterOf) take(p history.Pair) error {
	ok := p.Outcome() == history.OK
	o := counted{
		call: p.Invoke.Index, ret: returned(p), index: indexOf(p), version: p.Complete.Version, process: p.Invoke.Process, node: p.Invoke.Node,
	}
	text := p.Invoke.Value
	if p.Invoke.F == fRead {
		if !ok {
			return nil
		}
		text = p.Complete.Value
	}
	if !isNull(text) {
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return fmt.Errorf("operation %d: %s of a counter: %w: %.40q is no integer", o.index, p.Invoke.F, ErrMalformed, text)
		}
		o.number = n
	}
	switch {
	case p.Invoke.F == fRead:
		c.reads = append(c.reads, o)
	case ok:
		c.acked = append(c.acked, o)
	default:
		o.version, o.ret = 0, never
		c.unknown = append(c.unknown, o)
	}
	return nil
}

// versioned tells whether all acknowledged adds and some reads have versions.
func (c *counterOf) versioned() bool {
	return len(c.acked) > 0 && !slices.ContainsFunc(c.acked, func(a counted) bool { return a.version == 0 }) &&
		slices.ContainsFunc(c.reads, func(r counted) bool { return r.version > 0 })
}

// direction is 1 where nothing was ever subtracted, -1 where nothing was ever added, else 0.
func (c *counterOf) direction() int64 {
	up, down := false, false
	for _, list := range [][]counted{c.acked, c.unknown} {
		for _, a := range list {
			up, down = up || a.number > 0, down || a.number < 0
		}
	}
	switch {
	case !down:
		return 1
	case !up:
		return -1
	}
	return 0
}

// sums are the sums of a list of adds in some order, up to each: of all, of the positive and of the negative ones.
type sums struct {
	at            []int64
	all, pos, neg []int64
}

// sumsBy puts adds in the order of a number that each has.
func sumsBy(adds []counted, by func(counted) int64) sums {
	sorted := slices.SortedFunc(slices.Values(adds), func(a, b counted) int { return cmp.Compare(by(a), by(b)) })
	s := sums{all: []int64{0}, pos: []int64{0}, neg: []int64{0}}
	for i, a := range sorted {
		s.at = append(s.at, by(a))
		s.all = append(s.all, s.all[i]+a.number)
		s.pos = append(s.pos, s.pos[i]+max(a.number, 0))
		s.neg = append(s.neg, s.neg[i]+min(a.number, 0))
	}
	return s
}

// below is how many of the adds have a number less than one.
func (s *sums) below(n int64) int {
	i, _ := slices.BinarySearch(s.at, n)
	return i
}

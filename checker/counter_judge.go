package checker

import (
	"cmp"
	"fmt"
	"slices"
)

// counterJudge turns counters into anomalies.
type counterJudge struct {
	f     findings
	d     CounterDetail
	model string
}

// counterBounds tell what a read may show.
type counterBounds struct {
	c         *counterOf
	versioned bool
	// byRet and byVersion are the acknowledged adds, called the same by invocation, unknown the others by invocation.
	byRet, byVersion, called, unknown sums
	// newest is the add with the highest version of the first n of byRet, for each n.
	newest []counted
}

func newCounterBounds(c *counterOf) *counterBounds {
	b := &counterBounds{c: c, versioned: c.versioned()}
	call := func(a counted) int64 { return a.call }
	ret := func(a counted) int64 { return a.ret }
	b.byRet, b.called, b.unknown = sumsBy(c.acked, ret), sumsBy(c.acked, call), sumsBy(c.unknown, call)
	if b.versioned {
		b.byVersion = sumsBy(c.acked, func(a counted) int64 { return a.version })
	}
	slices.SortFunc(c.acked, func(a, b counted) int { return cmp.Compare(a.ret, b.ret) })
	b.newest = make([]counted, len(c.acked)+1)
	for i, a := range c.acked {
		b.newest[i+1] = b.newest[i]
		if a.version > b.newest[i].version {
			b.newest[i+1] = a
		}
	}
	return b
}

// of are the least and the greatest value of a read.
func (b *counterBounds) of(r *counted) (low, high int64) {
	maybe := b.unknown.below(r.ret)
	low, high = b.unknown.neg[maybe], b.unknown.pos[maybe]
	if b.versioned {
		sum := b.byVersion.all[b.byVersion.below(r.version+1)]
		return low + sum, high + sum
	}
	done, begun := b.byRet.below(r.call), b.called.below(r.ret)
	sum := b.byRet.all[done]
	return low + sum + b.called.neg[begun] - b.byRet.neg[done], high + sum + b.called.pos[begun] - b.byRet.pos[done]
}

// stale tells whether a read's version is older than that of an add acknowledged before, and which.
func (b *counterBounds) stale(r *counted) (by counted, stale bool) {
	by = b.newest[b.byRet.below(r.call)]
	return by, b.versioned && r.version < by.version
}

// judge adds the anomalies of one counter.
func (j *counterJudge) judge(c *counterOf) {
	j.d.Keys++
	j.d.Reads += int64(len(c.reads))
	j.d.Adds += int64(len(c.acked) + len(c.unknown))
	j.d.Acknowledged += int64(len(c.acked))
	b := newCounterBounds(c)
	// good is the last invocation of a read within its bounds.
	good := int64(-1)
	for i := range c.reads {
		r := &c.reads[i]
		low, high := b.of(r)
		j.d.Loose = max(j.d.Loose, high-low)
		if low <= r.number && r.number <= high {
			good = max(good, r.call)
		}
	}
	for i := range c.reads {
		j.read(b, &c.reads[i], good)
	}
	j.monotone(c)
}

// read judges one read.
func (j *counterJudge) read(b *counterBounds, r *counted, good int64) {
	c, direction := b.c, b.c.direction()
	if by, stale := b.stale(r); stale {
		j.f.add(Anomaly{
			Name: "stale-read", Key: c.key, Ops: []int64{r.index, by.index}, Allowed: j.model != ModelLinearizable,
			Why: fmt.Sprintf("%s, of version %d, but version %d was acknowledged before it began (%d)", c.describe(r), r.version, by.version, by.index),
		})
	}
	low, high := b.of(r)
	if low <= r.number && r.number <= high {
		return
	}
	a := Anomaly{Name: "garbage-read", Key: c.key, Ops: []int64{r.index}}
	a.Why = fmt.Sprintf("%s, but the adds allow %d to %d", c.describe(r), low, high)
	lost := direction > 0 && r.number < low || direction < 0 && r.number > high
	switch {
	case lost && !b.versioned && r.ret < good:
		a.Name, a.Allowed = "stale-read", j.model != ModelLinearizable
		a.Why += "; a later read is within its bounds"
	case lost:
		a.Name = "lost-update"
	}
	j.f.add(a)
}

// monotone judges that no read is behind one that was over before it began, where the counter goes one way only.
func (j *counterJudge) monotone(c *counterOf) {
	direction := c.direction()
	if direction == 0 {
		return
	}
	// tops are the reads so far that were ahead of all before.
	var tops []*counted
	for i := range c.reads {
		r := &c.reads[i]
		n, _ := slices.BinarySearchFunc(tops, r.call, func(b *counted, call int64) int { return cmp.Compare(b.ret, call) })
		if n > 0 && direction*tops[n-1].number > direction*r.number {
			b := tops[n-1]
			j.f.add(Anomaly{
				Name: "non-monotonic-read", Key: c.key, Ops: []int64{r.index, b.index}, Allowed: j.model != ModelLinearizable,
				Why: fmt.Sprintf("%s, but read %d was over before and had %d", c.describe(r), b.index, b.number),
			})
		}
		if len(tops) == 0 || direction*r.number > direction*tops[len(tops)-1].number {
			tops = append(tops, r)
		}
	}
}

func (c *counterOf) describe(r *counted) string {
	name := c.key
	if name == "" {
		name = "the counter"
	}
	return fmt.Sprintf("read %d of %s by process %s%s has %d", r.index, name, r.process, on(r.node), r.number)
}

package checker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// cachedJudge judges what reads promise that ask for a state that is not older than one, or for that very one, and measures how old what they
// returned was. What it finds is beside what every kind of read promises: that the state existed.
type cachedJudge struct {
	f *findings
	// read is the kind of read.
	read string
	// whole: a key is a set that is read as a whole, so that only revisions tell how old a read is; otherwise it has one version at a time.
	whole bool
	// versions are the known ones of each key, from writes and reads; known tells since when.
	versions map[string][]int64
	known    map[string]*floor
	stale    Staleness
	// travels are reads older than what another server had shown.
	travels int
	failing func(key string)
}

// views judges the registers of a history as caches show them.
func (j *linearizableJudge) views(ctx context.Context, src history.Source, registers []*register, read string) error {
	byKey := map[string]*register{}
	for _, r := range registers {
		byKey[r.key] = r
	}
	c := &cachedJudge{f: &j.f, read: read, versions: map[string][]int64{}, known: map[string]*floor{}, failing: func(key string) { j.failing(byKey[key]) }}
	if err := c.check(ctx, src, map[string]bool{fRead: true, fWrite: false, fCAS: false}); err != nil {
		return err
	}
	j.d.Staleness, j.d.TimeTravel = &c.stale, c.travels
	return nil
}

// views judges sets as caches show them. reads says of each function whether it reads.
func (f *findings) views(ctx context.Context, src history.Source, reads map[string]bool, read string) (*cachedJudge, error) {
	c := &cachedJudge{f: f, read: read, whole: true, versions: map[string][]int64{}, known: map[string]*floor{}, failing: func(string) {}}
	return c, c.check(ctx, src, reads)
}

func (c *cachedJudge) check(ctx context.Context, src history.Source, reads map[string]bool) error {
	ops, err := c.f.shownIn(ctx, src, reads, c.whole)
	if err != nil {
		return err
	}
	for i := range ops {
		if ops[i].version > 0 {
			c.versions[ops[i].key] = append(c.versions[ops[i].key], ops[i].version)
		}
	}
	for key, list := range c.versions {
		slices.Sort(list)
		c.versions[key] = slices.Compact(list)
	}
	c.judge(ops)
	c.measure(ops)
	c.stale.settle()
	r, err := c.f.renewalsOf(ctx, src)
	if err != nil {
		return err
	}
	c.monotone(ops, &r)
	return nil
}

// shown is a read or write of a register, with the version that it tells of.
type shown struct {
	key               string
	version, revision int64
	viewer
	reads bool
}

// shownIn are the reads and writes that are ok, in the order of their completions.
func (f *findings) shownIn(ctx context.Context, src history.Source, functions map[string]bool, whole bool) (ops []shown, err error) {
	err = f.clients(ctx, src, func(p history.Pair) error {
		reads, ours := functions[p.Invoke.F]
		if !ours || p.Outcome() != history.OK {
			return nil
		}
		s := shown{
			key: p.Invoke.Key, version: p.Complete.Version, revision: p.Complete.Revision, viewer: viewerOf(p), reads: reads,
		}
		switch {
		case whole && reads:
			if s.version = s.revision; s.version == 0 {
				return nil
			}
		case reads && s.version == 0 && !isNull(p.Complete.Value):
			return nil // of a system without versions
		}
		ops = append(ops, s)
		return nil
	})
	return ops, err
}

func (s *shown) String() string {
	return fmt.Sprintf("read %d of %s by process %s%s (version %d)", s.ret, s.key, s.process, on(s.node), s.version)
}

// between is a known version of a key above one and up to another, 0 if there is none.
func (c *cachedJudge) between(key string, above, upTo int64) int64 {
	if c.whole {
		return 0 // reads show many versions
	}
	list := c.versions[key]
	n, _ := slices.BinarySearch(list, above+1)
	if n == len(list) || list[n] > upTo {
		return 0
	}
	return list[n]
}

// judge compares each read with what its process asked for: the highest version or revision that it had seen.
func (c *cachedJudge) judge(ops []shown) {
	seen := map[history.Process]int64{}
	for i := range ops {
		o := &ops[i]
		asked := seen[o.process]
		seen[o.process] = max(asked, o.version, o.revision)
		if !o.reads {
			continue
		}
		if newer := c.between(o.key, o.version, o.revision); newer > 0 && o.revision > 0 {
			c.add(o, "wrong-snapshot", fmt.Sprintf("%s is said to be of revision %d, but there was version %d by then", o, o.revision, newer))
			continue
		}
		if asked == 0 {
			continue
		}
		switch c.read {
		case history.ReadAtLeast:
			c.atLeast(o, asked)
		case history.ReadExact:
			c.exactly(o, asked)
		}
	}
}

func (c *cachedJudge) atLeast(o *shown, asked int64) {
	if o.revision > 0 && o.revision < asked {
		c.add(o, "older-than-asked", fmt.Sprintf("%s is of revision %d, but its process asked for %d or newer", o, o.revision, asked))
		return
	}
	if newer := c.between(o.key, o.version, asked); newer > 0 {
		c.add(o, "older-than-asked", fmt.Sprintf("%s asked for revision %d or newer, but there was version %d by then", o, asked, newer))
	}
}

func (c *cachedJudge) exactly(o *shown, asked int64) {
	switch newer := c.between(o.key, o.version, asked); {
	case o.revision > 0 && o.revision != asked:
		c.add(o, "wrong-revision", fmt.Sprintf("%s is of revision %d, but its process asked for %d", o, o.revision, asked))
	case o.version > asked:
		c.add(o, "wrong-revision", fmt.Sprintf("%s asked for revision %d, which is older", o, asked))
	case newer > 0:
		c.add(o, "older-than-asked", fmt.Sprintf("%s asked for revision %d, but there was version %d by then", o, asked, newer))
	}
}

func (c *cachedJudge) add(o *shown, name, why string) {
	c.f.add(Anomaly{Name: name, Key: o.key, Ops: []int64{o.ret}, Why: why})
	c.failing(o.key)
}

// measure finds how far each read was behind the newest write acknowledged before it, and what other servers had shown of its key.
func (c *cachedJudge) measure(ops []shown) {
	writes, views := map[string]*floor{}, map[string]*floor{}
	for i := range ops {
		o := &ops[i]
		into := writes
		if o.reads {
			into = views
		}
		if c.known[o.key] == nil {
			c.known[o.key] = &floor{}
		}
		c.known[o.key].add(moment{o.ret, o.retAt, o.version, o.node})
		if into[o.key] == nil {
			into[o.key] = &floor{}
		}
		into[o.key].add(moment{o.ret, o.retAt, o.version, o.node})
	}
	byCall := slices.Clone(ops)
	slices.SortFunc(byCall, func(a, b shown) int { return cmp.Compare(a.call, b.call) })
	for i := range byCall {
		o := &byCall[i]
		if !o.reads {
			continue
		}
		var w moment
		if f := writes[o.key]; f != nil {
			w, _ = f.before(o.call)
			c.stale.add(o.version, w.version, f.since(o.version, o.call, o.callAt))
		} else {
			c.stale.add(o.version, 0, 0)
		}
		v, ok := views[o.key].before(o.call)
		if ok && v.version > o.version && v.node != o.node {
			c.travels++
			c.f.add(Anomaly{
				Name: "time-travel", Key: o.key, Ops: []int64{o.ret, v.ret}, Allowed: true,
				Why: fmt.Sprintf("%s is older than what %d%s had returned before it began (version %d)", o, v.ret, on(v.node), v.version),
			})
		}
	}
}

// monotone finds reads that went back in versions for one process on one server.
func (c *cachedJudge) monotone(ops []shown, r *renewals) {
	type reader struct {
		process   history.Process
		node, key string
	}
	last := map[reader]*shown{}
	for i := range ops {
		o := &ops[i]
		if !o.reads {
			continue
		}
		who := reader{o.process, o.node, o.key}
		if b := last[who]; b != nil && b.version > o.version && c.read != history.ReadExact {
			e := r.excuse(&b.viewer, o.ret, func(at time.Duration) time.Duration { return c.known[o.key].since(o.version, never, at) })
			r.judge(c.f, Anomaly{
				Name: "non-monotonic-read", Key: o.key, Ops: []int64{o.ret, b.ret},
				Why: fmt.Sprintf("%s, but the same process had been shown version %d there before (%d)", o, b.version, b.ret),
			}, e)
			if e == notExcused {
				c.failing(o.key)
			}
		}
		last[who] = o
	}
	r.tell(c.f)
}

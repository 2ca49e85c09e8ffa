package controlplane

import (
	"errors"
	"strings"
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// What candidates for a lease do, as client-go's leader election does it: a holder renews it again and again, and gives up when it could
// not for renewBound; others wait until they have seen no change of it for leaseLength, which is longer.
const (
	leaseLength = 2 * time.Second
	renewBound  = 1400 * time.Millisecond
	retryEvery  = 300 * time.Millisecond
	retrySpread = 100 * time.Millisecond
	// leaseName is the object under the operation's key that is the lease.
	leaseName = "lease"
)

// errUnanswered is a campaign that never heard who leads.
var errUnanswered = errors.New("no answer: the candidate never learned who leads")

// lease is what the lease object holds.
type lease struct {
	holder string // "": released
}

// candidate is a process that campaigns for a lease, and leads when it has it.
type candidate struct {
	*operation
	name string
	// seen is the version of the lease that it saw last, since when, and who held it.
	seen   int64
	since  time.Duration
	holder string
	// leading: it believes that it leads; renewed is when the request was sent by which it last knew it.
	leading bool
	renewed time.Duration
	// try counts the attempts: what comes of an older one counts for nothing.
	try int
	out history.Terms
}

// lead campaigns for as long as it was asked to.
func (o *operation) lead(v history.LeadRequest) {
	c := &candidate{operation: o, name: "p" + o.op.Process.String(), out: history.Terms{Terms: []history.Term{}}}
	o.p.store.Clock.After(millis(v.ForMS), c.stop)
	c.attempt()
}

func (c *candidate) now() time.Duration { return c.p.store.Clock.Now() }

// attempt tries to get or to renew the lease, and plans the next attempt.
func (c *candidate) attempt() {
	if c.over {
		return
	}
	c.try++
	try, sent := c.try, c.now()
	c.p.store.Clock.After(retryEvery+c.p.store.Between(0, retrySpread), func() {
		if c.try == try {
			c.attempt()
		}
	})
	c.reach(sent, func() bool { return c.try == try })
}

// reach reads the lease, and takes it if it may.
func (c *candidate) reach(sent time.Duration, current func() bool) {
	var got replicated.Item
	w := c.claim(c.name)
	c.ask(func(r *request) {
		r.call(replicated.Command{Key: w.key()}, func(found replicated.Result) {
			got = found.Item
			r.answer(nil)
		})
	}, func(err error) {
		if err != nil || !current() {
			return
		}
		c.look(got)
		if c.holder != c.name && c.holder != "" && c.now() < c.since+leaseLength {
			return
		}
		w.how, w.expect = howUpdate, got.Version
		if got.Version == 0 {
			w.how = howCreate
		}
		c.take(w, sent, current)
	})
}

// claim is the write that gives the lease to somebody.
func (c *candidate) claim(holder string) write {
	return write{record: &record{collection: c.op.Key, name: leaseName, content: &lease{holder}}, how: howUpdate}
}

// look notes what the lease is.
func (c *candidate) look(it replicated.Item) {
	if it.Version == c.seen {
		return
	}
	c.seen, c.since = it.Version, c.now()
	c.hear("")
	if r, ok := it.Object.(*record); ok {
		if l, ok := r.content.(*lease); ok {
			c.hear(l.holder)
		}
	}
}

// hear notes who holds the lease.
func (c *candidate) hear(holder string) {
	if holder != "" && (len(c.out.Observed) == 0 || c.out.Observed[len(c.out.Observed)-1] != holder) {
		c.out.Observed = append(c.out.Observed, holder)
	}
	c.holder = holder
}

// take writes the lease. Whoever gets the answer in time leads.
func (c *candidate) take(w write, sent time.Duration, current func() bool) {
	var got written
	c.ask(func(r *request) {
		r.write(w, func(done written) {
			got = done
			r.answer(nil)
		})
	}, func(err error) {
		if err != nil || !current() || got.refused != "" {
			return
		}
		c.seen, c.since = got.version, c.now()
		c.hear(c.name)
		c.renewed = sent
		if !c.leading {
			if c.now() >= sent+renewBound {
				return
			}
			c.leading = true
			c.out.Terms = append(c.out.Terms, history.Term{FromNS: int64(c.now())})
		}
		c.expire(sent)
	})
}

// expire ends the term if the lease was not renewed in time.
func (c *candidate) expire(sent time.Duration) {
	c.p.store.Clock.After(sent+renewBound-c.now(), func() {
		if c.leading && c.renewed == sent && !c.over {
			c.end("lost")
		}
	})
}

// end ends the term.
func (c *candidate) end(why string) {
	if c.leading {
		c.leading = false
		t := &c.out.Terms[len(c.out.Terms)-1]
		t.ToNS, t.End = int64(c.now()), why
	}
}

// stop ends the campaign. A leader hands the lease back, unless its process is an odd one: those end as if they crashed.
func (c *candidate) stop() {
	c.try++ // what is under way counts for nothing any more
	if len(c.out.Terms) == 0 && len(c.out.Observed) == 0 {
		c.fail(errUnanswered)
		return
	}
	if !c.leading || c.op.Process%2 == 1 {
		c.end("over")
		c.ok(c.out, 0, 0)
		return
	}
	c.end("released")
	w := c.claim("")
	w.expect = c.seen
	finish := func() {
		if !c.over {
			c.ok(c.out, 0, 0)
		}
	}
	c.p.store.Clock.After(c.p.timeout, finish)
	c.ask(func(r *request) { r.write(w, func(written) { r.answer(nil) }) }, func(error) { finish() })
}

// forked answers a command on a lease from what this server has made of it on its own, with the flaw that has it do so.
func (s *Server) forked(cmd *replicated.Command) (replicated.Result, bool) {
	if s.p.flaw != LeaseGrantedTwice || s.p.store.Clock.Now() < forksAfter || !isLease(cmd.Key) {
		return replicated.Result{}, false
	}
	if s.leases == nil {
		s.leases = map[string]replicated.Item{}
	}
	it := s.leases[cmd.Key]
	r := replicated.Result{Item: it, OK: true, Revision: it.Version}
	if cmd.Kind == replicated.PutGuarded {
		if r.OK = it.Version == cmd.Guard; r.OK {
			r.Revision++
			s.leases[cmd.Key] = replicated.Item{Object: cmd.Object, Version: r.Revision}
		}
	}
	return r, true
}

func isLease(key string) bool { return strings.HasSuffix(key, "/"+leaseName) }

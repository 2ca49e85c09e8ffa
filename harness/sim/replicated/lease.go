package replicated

import (
	"slices"
	"strings"
	"time"
)

// Leases are known to all members by the log; when each ends, by the leader's clock alone. A new leader gives them all their time anew.

// leaseLook is how long after its end, at most, a lease is revoked, and how often that is tried again where there is no quorum.
const leaseLook = 200 * time.Millisecond

// leaseExtra is what a new leader gives each lease beside its time.
const leaseExtra = electionMin + electionSpread

// lease is one, with the keys that go with it.
type lease struct {
	ttl    time.Duration
	expiry time.Duration
	keys   []string
	// odd: the flaw of leases strikes this one.
	odd bool
}

// leases are all there are, and the last of those that are no more.
type leases struct {
	live  map[int64]*lease
	ended map[int64]time.Duration // their TTLs
	// firsts are, for each prefix, the oldest key as it is and as it was before that.
	firsts map[string][2]Result
}

func newLeases() leases {
	return leases{live: map[int64]*lease{}, ended: map[int64]time.Duration{}, firsts: map[string][2]Result{}}
}

// Fence guards a write by another key: it must exist since the revision that created it.
type Fence struct {
	Key     string
	Created int64
}

// oldest is the key under a prefix that was created first, after so many that were before.
func (s *store) oldest(prefix string, skip int) (key string, it Item) {
	type owned struct {
		key string
		it  Item
	}
	var all []owned
	for k, it := range s.items {
		if strings.HasPrefix(k, prefix) {
			all = append(all, owned{k, it})
		}
	}
	slices.SortFunc(all, func(a, b owned) int { return int(a.it.Created - b.it.Created) })
	if skip >= len(all) {
		return "", Item{}
	}
	return all[skip].key, all[skip].it
}

// performOnLease performs a command that is about leases; done is false for what is still to be performed as any other, or not at all about them.
func (s *Cluster) performOnLease(cmd *Command) (r Result, done bool) {
	r = Result{Revision: s.store.revision, Term: s.term, OK: true}
	switch cmd.Kind {
	case GrantLease:
		l := &lease{ttl: cmd.TTL, odd: s.Chance(leaseOnce)}
		s.leases.live[cmd.Lease] = l
		s.renew(cmd.Lease, l, 0)
		r.TTL = l.ttl
		return r, true
	case RenewLease:
		r.TTL = s.renewed(cmd.Lease)
		return r, true
	case RevokeLease:
		r.OK = s.endLease(cmd.Lease)
		r.Revision = s.store.revision
		return r, true
	case OldestOf:
		return s.firstOf(cmd.Key, r), true
	case PutGuarded:
		if s.flaw == FencingIgnored && cmd.List != nil {
			cmd.Fence = nil
		}
		if cmd.Lease != 0 && s.leases.live[cmd.Lease] == nil {
			r.OK = false
			return r, true
		}
	case ReadKey, WriteKey, SwapKey, DeleteKey, Transact, Evaluate, WriteAll:
	}
	return r, false
}

// firstOf is the oldest key under a prefix, unless a flaw has it be another one.
func (s *Cluster) firstOf(prefix string, r Result) Result {
	r.Key, r.Item = s.store.oldest(prefix, 0)
	firsts := s.leases.firsts[prefix]
	if r.Key != firsts[1].Key {
		firsts = [2]Result{firsts[1], r}
	}
	firsts[1] = r
	s.leases.firsts[prefix] = firsts
	switch {
	case s.flaw == OwnedTwice && s.Chance(ownedTwiceOnce):
		if key, it := s.store.oldest(prefix, 1); key != "" {
			r.Key, r.Item = key, it
		}
	case s.flaw == LeaderSeenLate && firsts[0].Key != "" && s.Chance(seenLateOnce):
		r.Key, r.Item = firsts[0].Key, firsts[0].Item
	}
	return r
}

// attach has a key that was written go with the lease that it was written with.
func (s *Cluster) attach(cmd *Command) {
	l := s.leases.live[cmd.Lease]
	if l != nil && cmd.Kind == PutGuarded && !cmd.Gone && !slices.Contains(l.keys, cmd.Key) {
		l.keys = append(l.keys, cmd.Key)
	}
}

// renewed renews a lease and tells its time; 0: there is none.
func (s *Cluster) renewed(id int64) time.Duration {
	l := s.leases.live[id]
	if l == nil && s.flaw == RenewalRevives && s.leases.ended[id] > 0 && s.Chance(revivesOnce) {
		l = &lease{ttl: s.leases.ended[id]}
		s.leases.live[id] = l
	}
	if l == nil {
		return 0
	}
	s.renew(id, l, 0)
	return l.ttl
}

// renew gives a lease its time anew, and sees to its end.
func (s *Cluster) renew(id int64, l *lease, extra time.Duration) {
	l.expiry = s.Clock.Now() + l.ttl + extra
	if s.flaw == LeaseExpiresEarly && l.odd {
		l.expiry -= l.ttl * 4 / 5
	}
	s.Clock.After(l.expiry-s.Clock.Now()+s.Between(0, leaseLook), func() { s.expire(id, l) })
}

// expire ends a lease whose time is over, as soon as a leader can.
func (s *Cluster) expire(id int64, l *lease) {
	switch {
	case s.leases.live[id] != l || s.Clock.Now() < l.expiry:
	case s.flaw == LeaseNeverExpires && l.odd:
	case s.leader == nil || !s.leads(s.leader):
		s.Clock.After(leaseLook, func() { s.expire(id, l) })
	default:
		s.endLease(id)
	}
}

// endLease removes a lease and its keys, and tells whether there was one.
func (s *Cluster) endLease(id int64) bool {
	l := s.leases.live[id]
	if l == nil {
		return false
	}
	delete(s.leases.live, id)
	s.leases.ended[id] = l.ttl
	var e Entry
	for _, k := range l.keys {
		if s.store.items[k].Version != 0 {
			e = append(e, Put{Key: k, Gone: true})
		}
	}
	if len(e) > 0 {
		s.commit(e)
	}
	return true
}

// extendLeases is what a new leader does.
func (s *Cluster) extendLeases() {
	var ids []int64
	for id := range s.leases.live {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		s.renew(id, s.leases.live[id], leaseExtra)
	}
}

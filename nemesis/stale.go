package nemesis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

const (
	// lagTimeout bounds one question how far a cache is behind.
	lagTimeout = 3 * time.Second
	// staleAge is for how long a cache must be behind, at least, to be called stale: none is for so long while its link is whole.
	staleAge = time.Second
)

// stale cuts the link that feeds the cache of one server, which goes on answering from it, and then moves a component of another
// node onto that server. Packets vanish: a server that is told that its connection broke stops answering. Start's proof: the cut is
// proved as a partition is, and a cached read was answered that is older than the newest state by staleAge or more; and the component
// runs as a new process.
type stale struct {
	scope Scope
	words choice
	// open are the targets to draw from, where the request names none.
	open []string
	cut  *partition
	// server is the one that is cut off; from, the node whose component is moved, empty: none is.
	server, from string
	// before is the component's process before it is moved, and away: it was moved and not moved back.
	before control.ProcessState
	away   bool
}

// Stale is the Detail of its completions.
type Stale struct {
	Partition
	// Server is the node whose server is cut from the store.
	Server string `json:"server"`
	// Component is the one that was moved onto it, and From its node.
	Component string `json:"component,omitempty"`
	From      string `json:"from,omitempty"`
}

// StaleProof is its Proof. At the stop, Lag is from right before the cut was undone.
type StaleProof struct {
	CutProof
	Lag *harness.Lag `json:"lag,omitempty"`
	// LagError is why it could not be told at the stop.
	LagError string  `json:"lag_error,omitempty"`
	Moved    *Struck `json:"moved,omitempty"`
}

func newStale(s Scope, words choice) (action, error) {
	c := words[component]
	switch {
	case s.CacheLink == "":
		return nil, refuse(ErrImpossible, "stale-apiserver needs a system whose servers answer from caches of their own")
	case len(s.Nodes) < 2:
		return nil, refuse(ErrImpossible, "stale-apiserver needs 2 nodes or more, and there are %d: with one server there is nothing newer", len(s.Nodes))
	case c != "" && !slices.Contains(s.Movable, c):
		return nil, refuse(ErrImpossible, "stale-apiserver can't move %s to another server: it can move %s", c, strings.Join(s.Movable, ", "))
	case words[target] == "leader" && !s.Leader:
		return nil, refuse(ErrImpossible, "stale-apiserver:leader needs a system that can tell its leader")
	}
	a := &stale{scope: s, words: words, open: []string{"one"}}
	if s.Leader {
		a.open = append(a.open, "leader")
	}
	return a, a.cutOff(s.Nodes[0])
}

// cutOff prepares the cut of one server from its store.
func (s *stale) cutOff(node string) error {
	a, err := newPartition(s.scope, choice{target: node, way: "drop", link: s.scope.CacheLink})
	if err != nil {
		return err
	}
	s.cut, s.server = a.(*partition), node
	return nil
}

func (s *stale) draw(d deck, i int) ([]string, Draw) {
	t := s.words[target]
	if t == "" {
		t = d.pick("target", i, s.open)
	}
	words := []string{t}
	if c := s.words[component]; c != "" {
		words = append(words, c)
	}
	return words, Draw{Order: d.order(i, s.scope.Nodes)}
}

func (s *stale) start(ctx context.Context, f *field, fault *history.Fault) error {
	var d Draw
	if err := json.Unmarshal(fault.Detail, &d); err != nil {
		return skip("its choices can't be read: %v", err)
	}
	caches, ok := f.System.(harness.Caches)
	if !ok {
		return skip("%s has no caches", f.System.Name())
	}
	if err := s.aim(ctx, f, caches, d); err != nil {
		return err
	}
	err := s.cut.start(ctx, f, fault)
	if isMoot(err) {
		return err
	}
	proof := StaleProof{}
	if fault.Proof != nil {
		if e := json.Unmarshal(fault.Proof, &proof.CutProof); e != nil {
			return errors.Join(err, e)
		}
	}
	defer func() {
		fault.Detail = encode(s.detail(fault.Detail))
		fault.Proof = encode(proof)
	}()
	if err != nil {
		return err
	}
	if proof.Lag, err = s.awaitStale(ctx, f, caches); err != nil || s.from == "" {
		return err
	}
	s.away = true
	proof.Moved, err = s.move(ctx, f, s.server)
	return err
}

// aim finds the server to cut off, and the node whose component is moved there.
func (s *stale) aim(ctx context.Context, f *field, caches harness.Caches, d Draw) error {
	servers := d.Order
	switch t := s.words[target]; t {
	case "", "one":
	case "leader":
		leader, err := f.leader(ctx)
		if err != nil {
			return err
		}
		servers = []string{leader}
	default:
		servers = []string{t}
	}
	fresh, why := s.fresh(ctx, f, caches, d.Order)
	for _, server := range servers {
		if !slices.Contains(fresh, server) {
			continue
		}
		if len(fresh) < 2 {
			return skip("nothing would be newer than the cache on %s, since no other server works: %v", server, why)
		}
		if err := s.cutOff(server); err != nil {
			return skip("%v", err)
		}
		return s.aimMove(ctx, f, d.Order)
	}
	return skip("no server on %v answers from a cache that follows what is written: %v", servers, why)
}

// fresh are the nodes whose servers answer from caches that follow what is written, and why the others do not.
func (s *stale) fresh(ctx context.Context, f *field, caches harness.Caches, servers []string) (fresh []string, why error) {
	ctx, cancel := context.WithTimeout(ctx, f.wait/2)
	defer cancel()
	follows := make([]bool, len(servers))
	why = f.each(servers, func(i int, n harness.Node) (err error) {
		follows[i], err = following(ctx, caches, n.Name())
		return err
	})
	for i, server := range servers {
		if follows[i] {
			fresh = append(fresh, server)
		}
	}
	return fresh, why
}

// following waits until something new comes into a server's cache.
func following(ctx context.Context, caches harness.Caches, server string) (bool, error) {
	var first, last *harness.Lag
	var told error
	follows, _ := until(ctx, pollEvery, func() (bool, error) {
		l, err := lag(ctx, caches, server)
		if err != nil {
			told = err
			return false, nil
		}
		last = l
		if first == nil {
			first = l
		}
		return l.Cached > first.Cached, nil
	})
	switch {
	case follows:
		return true, nil
	case last == nil:
		return false, told
	}
	return false, fmt.Errorf("nothing new comes into its cache (it is at %d, the newest is %d)", last.Cached, last.Newest)
}

func lag(ctx context.Context, caches harness.Caches, server string) (*harness.Lag, error) {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	l, err := caches.CacheLag(ctx, server)
	if err != nil {
		return nil, err
	}
	return &l, nil
}

// aimMove finds the first other node on which the component runs.
func (s *stale) aimMove(ctx context.Context, f *field, order []string) error {
	c := s.words[component]
	if c == "" {
		return nil
	}
	k := strike{names: []string{c}}
	others := slices.DeleteFunc(slices.Clone(order), func(n string) bool { return n == s.server })
	found, err := k.look(ctx, f, others)
	if err != nil {
		return skip("the processes can't be listed: %v", err)
	}
	for i, node := range others {
		if p := found[i][c]; p.Status == running {
			s.from, s.before = node, p
			return nil
		}
	}
	return skip("no %s is running on %v, to be moved to %s", c, others, s.server)
}

// awaitStale waits until the server answers a cached read that is old enough.
func (s *stale) awaitStale(ctx context.Context, f *field, caches harness.Caches) (*harness.Lag, error) {
	waiting, cancel := context.WithTimeout(ctx, f.wait)
	defer cancel()
	var last *harness.Lag
	var told error
	old, _ := until(waiting, pollEvery, func() (bool, error) {
		l, err := lag(waiting, caches, s.server)
		if err != nil {
			if waiting.Err() == nil {
				told = err
			}
			return false, nil
		}
		last, told = l, nil
		return l.Cached < l.Newest && l.Age >= staleAge, nil
	})
	switch {
	case old:
		return last, nil
	case told != nil || last == nil:
		return last, doubt("the server on %s does not tell how old its cache is: %v", s.server, told)
	}
	return last, doubt("the cache on %s is not %v old within %v: it is at %d, the newest is %d", s.server, staleAge, f.wait, last.Cached, last.Newest)
}

// move makes the component use a server, and proves that it runs as another process since.
func (s *stale) move(ctx context.Context, f *field, server string) (*Struck, error) {
	mover, ok := f.System.(harness.Mover)
	if !ok {
		return nil, skip("%s can't move its components", f.System.Name())
	}
	c := s.words[component]
	moved := &Struck{Node: s.from, Before: s.before}
	for _, name := range append([]string{c}, s.scope.Companions...) {
		f.force.moves[process{s.from, name}]++ // what runs beside it may be started with it
	}
	if err := mover.Move(ctx, s.from, c, server); err != nil {
		return moved, fmt.Errorf("move %s of %s to the server of %s: %w", c, s.from, server, err)
	}
	k := strike{names: []string{c}}
	found, err := k.look(ctx, f, []string{s.from})
	if err != nil {
		return moved, fmt.Errorf("list the processes: %w", err)
	}
	moved.Now = found[0][c]
	if moved.Now.Status != running || same(moved.Before, moved.Now) {
		return moved, doubt("%s should run as a new process: %s", c, k.describe(*moved))
	}
	s.before = moved.Now
	return moved, nil
}

// detail adds to what the cut did.
func (s *stale) detail(cut json.RawMessage) Stale {
	d := Stale{Server: s.server}
	_ = json.Unmarshal(cut, &d.Partition) // what the cut could not tell is left out
	if s.from != "" {
		d.Component, d.From = s.words[component], s.from
	}
	return d
}

// stop restores the link, and moves the component back, whatever happened to the link.
func (s *stale) stop(ctx context.Context, f *field, fault *history.Fault) error {
	proof := StaleProof{}
	if caches, ok := f.System.(harness.Caches); ok {
		var err error
		if proof.Lag, err = lag(ctx, caches, s.server); err != nil {
			proof.LagError = oneLine(err)
		}
	}
	uncut := s.cut.stop(ctx, f, fault)
	if e := json.Unmarshal(fault.Proof, &proof.CutProof); e != nil {
		uncut = errors.Join(uncut, e)
	}
	back := s.moveBack(ctx, f, &proof)
	fault.Proof = encode(proof)
	switch {
	case !undone(uncut) || !undone(back):
		return errors.Join(uncut, back)
	case uncut != nil:
		return uncut
	}
	return back
}

// moveBack moves the component back, if it is away.
func (s *stale) moveBack(ctx context.Context, f *field, proof *StaleProof) (err error) {
	if !s.away {
		return nil
	}
	proof.Moved, err = s.move(ctx, f, s.from)
	s.away = !undone(err)
	return err
}

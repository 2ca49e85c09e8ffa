package nemesis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
)

// CutProof is the Proof of a partition: for each cut a connection that was tried through it, and how many packets
// its rule has caught so far.
type CutProof struct {
	Cuts []Cut `json:"cuts"`
	// UndoneByWatchdog are nodes where the rules were gone before the nemesis undid them.
	UndoneByWatchdog []string `json:"undone_by_watchdog,omitempty"`
}

// Cut is one direction between two nodes, or from the clients to a node.
type Cut struct {
	// On is the node that does not hear From, a node or "clients". Where they are one node, it is cut from its own server at the
	// loopback address To.
	On   string `json:"on"`
	From string `json:"from"`
	To   string `json:"to,omitempty"`
	// Probe is what a connection attempt through the cut met: silent (no answer within the bound), refused (a TCP
	// reset), connected, or an error that says nothing about the cut. Absent where none was made.
	Probe   string `json:"probe,omitempty"`
	Packets uint64 `json:"packets"`
}

// Answers to a probe.
const (
	silent    = "silent"
	refused   = "refused"
	connected = "connected"
)

// clients is what the other end of an outside link is called.
const clients = "clients"

// name is the cut in texts: "n2→n1", "n1→127.0.1.3 on n1".
func (c Cut) name() string {
	if c.To != "" {
		return c.From + "→" + c.To + " on " + c.On
	}
	return c.From + "→" + c.On
}

// cut is a Cut with what it takes to make it and to try it.
type cut struct {
	Cut
	// by is who tries a connection through it, a node or "clients", and dest where to. Empty: nobody can, since another cut already
	// stops the attempt.
	by, dest string
	rule     control.CutRule
	// place is where the rule is among those of its node.
	place int
}

// plan turns a split into cuts, ordered by node.
func (p *partition) plan(f *field, s Split) ([]cut, error) {
	var cuts []cut
	for _, name := range sorted(p.scope.Nodes) {
		n, err := f.node(name)
		if err != nil {
			return nil, err
		}
		for _, l := range p.inside {
			for _, other := range s.Grudge[name] {
				o, err := f.node(other)
				if err != nil {
					return nil, err
				}
				cuts = append(cuts, cut{Cut: Cut{On: name, From: other}, by: other, dest: dest(n.Addr(), l), rule: control.CutRule{From: o.Addr(), Ports: l.Ports}})
			}
		}
		for _, l := range p.outside {
			if slices.Contains(s.Apart, name) {
				rule := control.CutRule{From: f.Clients, Ports: l.Ports, ServerOnly: true}
				cuts = append(cuts, cut{Cut: Cut{On: name, From: clients}, by: clients, dest: dest(n.Addr(), l), rule: rule})
			}
		}
	}
	local, err := p.planLocal(f, s)
	if err != nil {
		return nil, err
	}
	return p.placed(append(cuts, local...)), nil
}

func dest(addr string, l harness.Link) string {
	if len(l.Ports) == 0 {
		return ""
	}
	return net.JoinHostPort(addr, strconv.Itoa(l.Ports[0]))
}

// placed orders cuts by node and gives each its place there.
func (p *partition) placed(cuts []cut) []cut {
	slices.SortStableFunc(cuts, func(a, b cut) int { return strings.Compare(a.On, b.On) })
	for i := range cuts {
		cuts[i].rule.Reset = p.words[way] == "reset"
		if i > 0 && cuts[i].On == cuts[i-1].On {
			cuts[i].place = cuts[i-1].place + 1
		}
	}
	return cuts
}

func (p *partition) rules() map[string][]control.CutRule {
	rules := map[string][]control.CutRule{}
	for _, c := range p.cuts {
		rules[c.On] = append(rules[c.On], c.rule)
	}
	return rules
}

func (p *partition) cutNodes() []string {
	var nodes []string
	for _, c := range p.cuts {
		nodes = append(nodes, c.On)
	}
	return slices.Compact(nodes)
}

// prove tries a connection through every cut, in the direction that is cut, and then waits for the counters. The attempts themselves
// are traffic that the rules must catch, so an idle system can be proved to be cut, and a dead one is not mistaken for it.
func (p *partition) prove(ctx context.Context, f *field, id string) (CutProof, error) {
	probes := make([]string, len(p.cuts))
	var wg sync.WaitGroup
	for i, c := range p.cuts {
		if c.by != "" {
			wg.Go(func() { probes[i] = f.try(ctx, c) })
		}
	}
	wg.Wait()

	var cuts []Cut
	waiting, cancel := context.WithTimeout(ctx, f.count)
	defer cancel()
	_, err := until(waiting, pollEvery, func() (bool, error) {
		counts, err := p.counts(ctx, f, id)
		cuts = p.counted(counts)
		return err != nil || p.unshown(cuts) == nil, err
	})
	for i := range cuts {
		cuts[i].Probe = probes[i]
	}
	if err != nil {
		return CutProof{Cuts: cuts}, fmt.Errorf("read the counters: %w", err)
	}
	return CutProof{Cuts: cuts}, errors.Join(p.unshown(cuts), p.leaks(cuts))
}

// undoneCut is what one node's rules had caught when they were undone, and whether they were gone already.
type undoneCut struct {
	counts []control.CutCount
	gone   bool
}

// undo removes the rules from a node. Only rules in force can be counted, so a node that can undo what it could not
// count had lost them before.
func undo(ctx context.Context, n harness.Node, id string) (*undoneCut, error) {
	before, uncounted := n.CutCounts(ctx, id)
	counts, err := n.Uncut(ctx, id)
	if err != nil {
		return nil, err
	}
	return &undoneCut{counts, uncounted != nil || len(before) == 0}, nil
}

// try makes one attempt to connect through a cut.
func (f *field) try(ctx context.Context, c cut) string {
	ctx, cancel := context.WithTimeout(ctx, f.probe)
	defer cancel()
	var conn net.Conn
	var err error
	switch {
	case c.by != clients:
		var n harness.Node
		if n, err = f.node(c.by); err == nil {
			conn, err = n.Dial(ctx, c.dest)
		}
	case f.Dial != nil:
		conn, err = f.Dial(ctx, c.dest)
	default:
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", c.dest)
	}
	if err == nil {
		_ = conn.Close() // it only had to open
		return connected
	}
	return answer(ctx, err)
}

// answer reads the error of a connection attempt. Attempts made by a node come back through SSH as text.
func answer(ctx context.Context, err error) string {
	text := strings.ToLower(err.Error())
	switch {
	case strings.Contains(text, "refused"), strings.Contains(text, "reset by peer"):
		return refused
	case ctx.Err() != nil, strings.Contains(text, "timed out"), strings.Contains(text, "timeout"):
		return silent
	}
	return err.Error()
}

func (p *partition) counts(ctx context.Context, f *field, id string) (map[string][]control.CutCount, error) {
	nodes := p.cutNodes()
	got := make([][]control.CutCount, len(nodes))
	err := f.each(nodes, func(i int, n harness.Node) (err error) {
		got[i], err = n.CutCounts(ctx, id)
		return err
	})
	byNode := map[string][]control.CutCount{}
	for i, node := range nodes {
		byNode[node] = got[i]
	}
	return byNode, err
}

// counted joins the cuts and what their rules have caught.
func (p *partition) counted(counts map[string][]control.CutCount) []Cut {
	cuts := make([]Cut, len(p.cuts))
	for i, c := range p.cuts {
		cuts[i] = c.Cut
		if at := counts[c.On]; c.place < len(at) {
			cuts[i].Packets = at[c.place].Packets
		}
	}
	return cuts
}

// unshown doubts cuts that have caught nothing, though they were tried.
func (p *partition) unshown(cuts []Cut) error {
	var idle []string
	for i, c := range cuts {
		if c.Packets == 0 && p.cuts[i].by != "" {
			idle = append(idle, c.name())
		}
	}
	if len(idle) > 0 {
		return doubt("no packet was caught of %v", idle)
	}
	return nil
}

// leaks doubts cuts through which a probe had another answer than the way promises: none for drop, a reset for reset.
// A probe that could not be made says nothing; the counters must do.
func (p *partition) leaks(cuts []Cut) error {
	var bad []string
	for i, c := range cuts {
		// A reset that meets the answer to a connection attempt goes to the server: the client hears nothing.
		mute := p.words[way] != "reset" || p.cuts[i].rule.ClientOnly
		switch {
		case c.Probe == connected, c.Probe == refused && p.words[way] != "reset", c.Probe == silent && !mute:
			bad = append(bad, c.name()+" "+c.Probe)
		}
	}
	if len(bad) > 0 {
		return doubt("connections through the cut met another answer than %s gives: %v", p.words[way], bad)
	}
	return nil
}

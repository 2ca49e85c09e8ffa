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
	// On is the node that does not hear From, a node or "clients".
	On   string `json:"on"`
	From string `json:"from"`
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

// cut is a Cut with what it takes to make it.
type cut struct {
	on, from string
	addr     string // of from
	to       string // address and port to probe
	rule     control.CutRule
}

// plan turns a split into cuts, ordered by node.
func (p *partition) plan(f *field, s Split) ([]cut, error) {
	var cuts []cut
	reset := p.words[way] == "reset"
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
				cuts = append(cuts, cut{name, other, o.Addr(), dest(n, l), control.CutRule{From: o.Addr(), Ports: l.Ports, Reset: reset}})
			}
		}
		for _, l := range p.outside {
			if slices.Contains(s.Apart, name) {
				rule := control.CutRule{From: f.Clients, Ports: l.Ports, ServerOnly: true, Reset: reset}
				cuts = append(cuts, cut{name, clients, f.Clients, dest(n, l), rule})
			}
		}
	}
	return cuts, nil
}

func dest(n harness.Node, l harness.Link) string {
	if len(l.Ports) == 0 {
		return ""
	}
	return net.JoinHostPort(n.Addr(), strconv.Itoa(l.Ports[0]))
}

func (p *partition) rules() map[string][]control.CutRule {
	rules := map[string][]control.CutRule{}
	for _, c := range p.cuts {
		rules[c.on] = append(rules[c.on], c.rule)
	}
	return rules
}

func (p *partition) cutNodes() []string {
	var nodes []string
	for _, c := range p.cuts {
		nodes = append(nodes, c.on)
	}
	return slices.Compact(nodes)
}

// prove tries a connection through every cut, in the direction that is cut, and then waits for the counters. The attempts themselves
// are traffic that the rules must catch, so an idle system can be proved to be cut, and a dead one is not mistaken for it.
func (p *partition) prove(ctx context.Context, f *field, id string) (CutProof, error) {
	probes := make([]string, len(p.cuts))
	var wg sync.WaitGroup
	for i, c := range p.cuts {
		wg.Go(func() { probes[i] = f.try(ctx, c) })
	}
	wg.Wait()

	var cuts []Cut
	waiting, cancel := context.WithTimeout(ctx, f.count)
	defer cancel()
	_, err := until(waiting, pollEvery, func() (bool, error) {
		counts, err := p.counts(ctx, f, id)
		cuts = p.counted(counts)
		return err != nil || unshown(cuts) == nil, err
	})
	for i := range cuts {
		cuts[i].Probe = probes[i]
	}
	if err != nil {
		return CutProof{Cuts: cuts}, fmt.Errorf("read the counters: %w", err)
	}
	return CutProof{Cuts: cuts}, errors.Join(unshown(cuts), p.leaks(cuts))
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
	case c.from != clients:
		var n harness.Node
		if n, err = f.node(c.from); err == nil {
			conn, err = n.Dial(ctx, c.to)
		}
	case f.Dial != nil:
		conn, err = f.Dial(ctx, c.to)
	default:
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", c.to)
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
		cuts[i] = Cut{On: c.on, From: c.from}
		for _, n := range counts[c.on] {
			if n.From == c.addr {
				cuts[i].Packets += n.Packets
			}
		}
	}
	return cuts
}

// unshown doubts cuts that have caught nothing.
func unshown(cuts []Cut) error {
	var idle []string
	for _, c := range cuts {
		if c.Packets == 0 {
			idle = append(idle, c.From+"→"+c.On)
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
	for _, c := range cuts {
		switch {
		case c.Probe == connected,
			c.Probe == refused && p.words[way] != "reset",
			c.Probe == silent && p.words[way] == "reset":
			bad = append(bad, fmt.Sprintf("%s→%s %s", c.From, c.On, c.Probe))
		}
	}
	if len(bad) > 0 {
		return doubt("connections through the cut met another answer than %s gives: %v", p.words[way], bad)
	}
	return nil
}

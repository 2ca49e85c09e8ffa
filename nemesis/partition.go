package nemesis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// Partition is the Detail of a partition's completions.
type Partition struct {
	Draw
	// Links are the names of the links that were cut.
	Links []string `json:"links"`
	// Grudge is between nodes; absent where only clients were cut off.
	Grudge Grudge `json:"grudge,omitempty"`
	// Clients are the nodes that the clients' traffic does not reach.
	Clients []string `json:"clients,omitempty"`
	// Local are the nodes whose processes do not reach their own servers by the link.
	Local []string `json:"local,omitempty"`
}

// partition cuts links. Every node drops (or resets) what arrives from those that it must not hear.
type partition struct {
	scope Scope
	words choice
	// inside, outside and local are the links to cut: between nodes, from the clients, and inside of each node.
	inside, outside, local []harness.Link
	// open are the shapes and targets to draw from, where the request names neither.
	open []string
	// only is the half of the traffic that a one-way cut of a local link stops, and cuts are what is cut, both as start decided.
	only direction
	cuts []cut
	// claimed are the links inside of nodes that are cut; see force.cut.
	claimed []string
	// caught are the nodes whose rules stop has undone.
	caught map[string]*undoneCut
}

func newPartition(s Scope, words choice) (action, error) {
	p := &partition{scope: s, words: words, caught: map[string]*undoneCut{}}
	if err := p.links(); err != nil {
		return nil, err
	}
	if words[target] != "" || words[shape] != "" {
		return p, p.possible(words[target], words[shape])
	}
	var why error
	for _, c := range p.candidates() {
		if err := p.possible(c.target, c.shape); err != nil {
			if why == nil {
				why = err
			}
			continue
		}
		p.open = append(p.open, c.target+c.shape)
	}
	if len(p.open) == 0 {
		return nil, why
	}
	return p, nil
}

// aim is a target or a shape.
type aim struct{ target, shape string }

// candidates are what may be drawn where neither is named. Inside of nodes, shapes are meaningless, and all is no more than the sum
// of its parts.
func (p *partition) candidates() []aim {
	if len(p.local) > 0 {
		return []aim{{target: "one"}, {target: "majority"}, {target: "leader"}, {target: all}, {shape: "one-way"}}
	}
	return []aim{
		{target: "one"},
		{target: "majority"},
		{target: "leader"},
		{shape: "halves"},
		{shape: "minority-third"},
		{shape: "bridge"},
		{shape: "ring"},
		{shape: "one-way"},
	}
}

// links finds the links that the word means.
func (p *partition) links() error {
	for _, l := range p.scope.Links {
		switch w := p.words[link]; {
		case l.Name == w, w == "both" && l.Outside, w == "both" && l.Name == p.peer(), w == "" && l.Name == p.peer():
			switch {
			case l.Outside:
				p.outside = append(p.outside, l)
			case l.Local != "":
				p.local = append(p.local, l)
			default:
				p.inside = append(p.inside, l)
			}
		}
	}
	switch w := p.words[link]; {
	case w == "both" && (len(p.inside) == 0 || len(p.outside) == 0), len(p.inside)+len(p.outside)+len(p.local) == 0:
		if w == "" {
			w = "peer"
		}
		var has []string
		for _, l := range p.scope.Links {
			has = append(has, l.Name)
		}
		return refuse(ErrImpossible, "this system has no link %q to cut: it has %v", w, has)
	case len(p.outside) > 0 && p.scope.NoClients:
		return refuse(ErrImpossible, "the clients can't be cut off: the address that they come from is not known")
	}
	return nil
}

// peer is the link that is cut unless another is named: the one called peer, else the first between nodes.
func (p *partition) peer() string {
	first := ""
	for _, l := range p.scope.Links {
		if l.Name == "peer" {
			return l.Name
		}
		if first == "" && !l.Outside && l.Local == "" {
			first = l.Name
		}
	}
	return first
}

// least is how many nodes a shape or target needs, to cut nodes from each other.
var least = map[string]int{"minority": 3, "majority": 3, "minority-third": 4, "bridge": 3, "ring": 4}

// leastOutside is the same where only clients are cut off.
var leastOutside = map[string]int{"minority": 3, "minority-third": 4, "halves": 2}

// possible says why a target and a shape (one of them may be empty) can't be done.
func (p *partition) possible(t, sh string) error {
	if len(p.local) > 0 {
		if err := p.possibleLocal(sh); err != nil {
			return err
		}
	}
	words := strings.Trim(t+"+"+sh, "+")
	need := 1
	for _, w := range []string{t, sh} {
		if len(p.inside) > 0 {
			need = max(need, 2, least[w])
		} else {
			need = max(need, leastOutside[w])
		}
	}
	apart := len(p.outside) > 0
	switch {
	case len(p.scope.Nodes) < need:
		return refuse(ErrImpossible, "partition:%s needs %d nodes or more, and there are %d", words, need, len(p.scope.Nodes))
	case t == "leader" && !p.scope.Leader:
		return refuse(ErrImpossible, "partition:leader needs a system that can tell its leader")
	case sh == "ring" && apart:
		return refuse(ErrUsage, "partition:ring sets no node apart, so it can't cut off the clients: use the link peer")
	case (sh == "bridge" || sh == "one-way") && len(p.inside)+len(p.local) == 0:
		return refuse(ErrUsage, "partition:%s is between nodes: it can't cut the link %s alone", sh, p.words[link])
	case sh == "ring" && t != "":
		return refuse(ErrUsage, "partition:ring strikes every node alike: it can't be aimed at %q", t)
	case sh != "" && sh != "one-way" && (t == "minority" || t == "majority"), sh != "" && t == "all":
		return refuse(ErrUsage, "partition:%s can't be aimed at %q", sh, t)
	}
	return nil
}

func (p *partition) draw(d deck, i int) ([]string, Draw) {
	words := []string{}
	for _, kind := range []string{target, shape} {
		if w := p.words[kind]; w != "" {
			words = append(words, w)
		}
	}
	if len(p.open) > 0 {
		words = append(words, d.pick("shape", i, p.open))
	}
	w := p.words[way]
	if w == "" {
		w = d.pick("way", i, []string{"drop", "reset"})
	}
	l := p.words[link]
	if l == "" {
		l = p.peer()
	}
	c := Draw{Order: d.order(i, p.scope.Nodes)}
	if slices.Contains(words, "one-way") {
		c.Deaf = d.coin("deaf", i)
	}
	return append(words, w, l), c
}

func (p *partition) start(ctx context.Context, f *field, fault *history.Fault) error {
	var d Draw
	if err := json.Unmarshal(fault.Detail, &d); err != nil {
		return skip("its choices can't be read: %v", err)
	}
	s, err := p.split(ctx, f, d)
	if err != nil {
		return err
	}
	if err := p.claim(f.force, s.Apart, fault.ID); err != nil {
		return err
	}
	p.only = p.direction(d)
	p.cuts, err = p.plan(f, s)
	if err != nil {
		p.disclaim(f.force)
		return skip("%v", err)
	}
	fault.Nodes = s.Apart
	fault.Detail = encode(p.detail(d, s))
	rules := p.rules()
	err = f.each(p.cutNodes(), func(_ int, n harness.Node) error {
		return n.Cut(ctx, fault.ID, rules[n.Name()])
	})
	if err != nil {
		return fmt.Errorf("cut: %w", err)
	}
	proof, err := p.prove(ctx, f, fault.ID)
	fault.Proof = encode(proof)
	return err
}

// split decides who does not hear whom, asking the system for its leader where it must.
func (p *partition) split(ctx context.Context, f *field, d Draw) (Split, error) {
	order, t := d.Order, p.words[target]
	n := len(order)
	if n != len(p.scope.Nodes) {
		return Split{}, skip("its order of nodes %v is not of the %d nodes of this run", order, len(p.scope.Nodes))
	}
	apart := 1
	switch t {
	case "", "one":
	case "minority":
		apart = minorityOf(n)
	case "majority":
		apart = majorityOf(n)
	case all:
		return scatter(order), nil
	default:
		aim := t
		if t == "leader" {
			var err error
			if aim, err = f.leader(ctx); err != nil {
				return Split{}, err
			}
		}
		// The node that is aimed at takes the first place, so that it is the one set apart, or the bridge.
		order = append([]string{aim}, slices.DeleteFunc(slices.Clone(order), func(o string) bool { return o == aim })...)
	}
	switch p.words[shape] {
	case "halves":
		return isolate(order, order[:n/2]), nil
	case "minority-third":
		return isolate(order, order[:thirdOf(n)]), nil
	case "bridge":
		return bridge(order), nil
	case "ring":
		return ring(order), nil
	case "one-way":
		return oneWay(order, order[:apart], d.Deaf), nil
	}
	return isolate(order, order[:apart]), nil
}

func (p *partition) detail(d Draw, s Split) Partition {
	detail := Partition{Draw: d}
	for _, l := range slices.Concat(p.inside, p.outside, p.local) {
		detail.Links = append(detail.Links, l.Name)
	}
	if len(p.inside) > 0 {
		detail.Grudge = s.Grudge
	}
	if len(p.outside) > 0 {
		detail.Clients = s.Apart
	}
	if len(p.local) > 0 {
		detail.Local = s.Apart
	}
	return detail
}

func (p *partition) stop(ctx context.Context, f *field, fault *history.Fault) error {
	nodes := p.cutNodes()
	got := make([]*undoneCut, len(nodes))
	err := f.each(nodes, func(i int, n harness.Node) (err error) {
		if p.caught[n.Name()] == nil {
			got[i], err = undo(ctx, n, fault.ID)
		}
		return err
	})
	proof := CutProof{}
	counts := map[string][]control.CutCount{}
	for i, node := range nodes {
		if got[i] != nil {
			p.caught[node] = got[i]
		}
		if c := p.caught[node]; c != nil {
			counts[node] = c.counts
			if c.gone {
				proof.UndoneByWatchdog = append(proof.UndoneByWatchdog, node)
			}
		}
	}
	proof.Cuts = p.counted(counts)
	fault.Proof = encode(proof)
	if err == nil {
		p.disclaim(f.force)
	}
	switch {
	case err != nil:
		return fmt.Errorf("undo the cut: %w", err)
	case len(proof.UndoneByWatchdog) > 0:
		return doubt("on %v the cut was gone before it was to be undone", proof.UndoneByWatchdog)
	}
	return p.unshown(proof.Cuts)
}

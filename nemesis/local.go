package nemesis

import (
	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
)

// possibleLocal says why a shape can't be given to a link inside of nodes.
func (p *partition) possibleLocal(sh string) error {
	if sh == "" || sh == "one-way" {
		return nil
	}
	return refuse(ErrUsage, "partition:%s is between nodes: the link %s is inside of each, so it can only be aimed at nodes", sh, p.local[0].Name)
}

// claim takes the links inside of nodes for this fault. One that another fault has cut already is moot: a second cut would catch nothing, and
// what a probe meets would be the first one's.
func (p *partition) claim(f *force, nodes []string, id string) error {
	var links []string
	for _, l := range p.local {
		for _, node := range nodes {
			link := node + " " + l.Name
			if by := f.cut[link]; by != "" {
				return skip("the link %s of %s is cut already, by %s", l.Name, node, by)
			}
			links = append(links, link)
		}
	}
	for _, link := range links {
		f.cut[link] = id
	}
	p.claimed = links
	return nil
}

func (p *partition) disclaim(f *force) {
	for _, link := range p.claimed {
		delete(f.cut, link)
	}
	p.claimed = nil
}

// planLocal cuts the links inside of the nodes set apart. A one-way cut stops requests (the servers are deaf) or answers.
func (p *partition) planLocal(f *field, s Split) ([]cut, error) {
	var cuts []cut
	for _, l := range p.local {
		for _, name := range s.Apart {
			n, err := f.node(name)
			if err != nil {
				return nil, err
			}
			own := cut{Cut: Cut{On: name, From: name, To: l.Local}, by: name, dest: dest(l.Local, l)}
			own.rule = control.CutRule{To: l.Local, Ports: l.Ports, ServerOnly: p.only == requests, ClientOnly: p.only == answers}
			cuts = append(cuts, own)
			if !l.Everywhere {
				continue
			}
			others, err := p.planElsewhere(f, n, l)
			if err != nil {
				return nil, err
			}
			cuts = append(cuts, others...)
		}
	}
	return cuts, nil
}

// planElsewhere cuts a node from the servers of the other nodes: what it asks is stopped there, what they answer here. A connection
// attempt gets no further than the first of the two; the second is for what is under way on older connections.
func (p *partition) planElsewhere(f *field, n harness.Node, l harness.Link) ([]cut, error) {
	var cuts []cut
	for _, other := range sorted(p.scope.Nodes) {
		if other == n.Name() {
			continue
		}
		o, err := f.node(other)
		if err != nil {
			return nil, err
		}
		if p.only != answers {
			rule := control.CutRule{From: n.Addr(), Ports: l.Ports, ServerOnly: true}
			cuts = append(cuts, cut{Cut: Cut{On: other, From: n.Name()}, by: n.Name(), dest: dest(o.Addr(), l), rule: rule})
		}
		if p.only != requests {
			c := cut{Cut: Cut{On: n.Name(), From: other}, rule: control.CutRule{From: o.Addr(), Ports: l.Ports, ClientOnly: true}}
			if p.only == answers {
				c.by, c.dest = n.Name(), dest(o.Addr(), l)
			}
			cuts = append(cuts, c)
		}
	}
	return cuts, nil
}

// direction is which half of a link's traffic is cut; empty: both.
type direction string

const (
	requests direction = "requests"
	answers  direction = "answers"
)

// direction is what a one-way cut of a link inside of nodes stops.
func (p *partition) direction(d Draw) direction {
	switch {
	case p.words[shape] != "one-way":
		return ""
	case d.Deaf:
		return requests
	}
	return answers
}

package checker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Availability measures which share of the operations was ok, per node, in and out of fault windows, and the longest time without
// an ok operation. It informs: it is Valid where anything was measured.
func Availability() Checker { return availability{} }

type availability struct{}

// NodeAvailability is what one node's clients met, or all of them.
type NodeAvailability struct {
	// Quiet are operations during which no fault was in force, Faulty the others.
	Quiet  Tally `json:"quiet"`
	Faulty Tally `json:"faulty"`
	// GapNS is the longest time without an ok operation, in nanoseconds; GapFromNS is when it began.
	GapNS     time.Duration `json:"gap_ns"`
	GapFromNS time.Duration `json:"gap_from_ns"`

	last, end time.Duration
}

// AvailabilityDetail is the Detail of Availability.
type AvailabilityDetail struct {
	All   *NodeAvailability            `json:"all"`
	Nodes map[string]*NodeAvailability `json:"nodes"`
}

func (availability) Name() string { return "availability" }

func (availability) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var (
		f findings
		d = AvailabilityDetail{All: &NodeAvailability{}, Nodes: map[string]*NodeAvailability{}}
	)
	all, err := f.faultsOf(ctx, src)
	if err != nil {
		return Result{}, err
	}
	faulty := all.mayAct()
	err = f.clients(ctx, src, func(p history.Pair) error {
		underFault := faulty.overlaps(p.Invoke.Index, returned(p))
		if node := p.Invoke.Node; node != "" {
			n := d.Nodes[node]
			if n == nil {
				n = &NodeAvailability{}
				d.Nodes[node] = n
			}
			n.add(p, underFault)
		}
		d.All.add(p, underFault)
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	for _, n := range d.Nodes {
		n.gapUntil(d.All.end)
	}
	d.All.gapUntil(d.All.end)
	if d.All.Quiet.all()+d.All.Faulty.all() == 0 {
		f.unknown("no client operation was invoked")
	}
	summary := fmt.Sprintf("%s ok in quiet, longest gap %s", share(d.All.Quiet), d.All.GapNS.Round(time.Millisecond))
	if d.All.Faulty.all() > 0 {
		summary = fmt.Sprintf("%s ok in quiet, %s under faults%s, longest gap %s", share(d.All.Quiet), share(d.All.Faulty),
			worst(d.Nodes), d.All.GapNS.Round(time.Millisecond))
	}
	return f.result(summary, d)
}

// add counts an operation. Operations come in the order of their completions.
func (n *NodeAvailability) add(p history.Pair, underFault bool) {
	if underFault {
		n.Faulty.add(p.Outcome())
	} else {
		n.Quiet.add(p.Outcome())
	}
	n.end = max(n.end, p.Invoke.Time, p.Complete.Time)
	if p.Outcome() == history.OK {
		n.gapUntil(p.Complete.Time)
		n.last = p.Complete.Time
	}
}

func (n *NodeAvailability) gapUntil(t time.Duration) {
	if gap := t - n.last; gap > n.GapNS {
		n.GapNS, n.GapFromNS = gap, n.last
	}
}

func share(t Tally) string {
	if t.all() == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%.1f %%", 100*t.OKShare)
}

// worst names the node whose clients fared worst under faults.
func worst(nodes map[string]*NodeAvailability) string {
	name := ""
	for _, n := range slices.Sorted(maps.Keys(nodes)) {
		if nodes[n].Faulty.all() > 0 && (name == "" || nodes[n].Faulty.OKShare < nodes[name].Faulty.OKShare) {
			name = n
		}
	}
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" (%s on %s)", share(nodes[name].Faulty), name)
}

package checker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// IdentitiesOptions choose what is compared.
type IdentitiesOptions struct {
	// Slack is by how much the clocks of two nodes may differ: spans on different nodes that overlap by no more than that say nothing.
	Slack time.Duration
	// Still: nothing need move. Otherwise a run in which no name ever had a second pod is Unknown: nothing could have overlapped.
	Still bool
	// Only, where not nil, tells the pods (namespace/name) whose identity is promised to be unique; nil: all of them.
	Only func(pod string) bool
}

// Identities judges whether two containers of one identity ran at the same time, by the logs of the nodes' container runtimes
// (evidence history.FRuntime, a history.RuntimeSpan each, on Op.Node). An identity is a pod's name; pods of one name that differ in their
// UIDs are different pods, and so are containers of one pod on different nodes. They must follow each other: duplicate-identity.
//
// It is a promise about pods that nobody deleted by force: who does, tells the control plane that it has seen to it that the
// containers are gone. Containers end with their runtime, though nobody is told then.
//
// A node whose log could not be read (an operation history.FRuntime without a value, and with the error) makes it Unknown.
func Identities(o IdentitiesOptions) Checker { return identities{o} }

type identities struct{ o IdentitiesOptions }

// IdentitiesDetail is the Detail of Identities.
type IdentitiesDetail struct {
	Identities int `json:"identities"`
	Spans      int `json:"spans"`
	// Moved are the times when a pod of some name ran after another one of that name.
	Moved int `json:"moved"`
	// ClosestNS is the shortest time between two different pods of one name, in nanoseconds; negative for an overlap.
	ClosestNS *int64 `json:"closest_ns,omitempty"`
}

// runtimeSpan is one container's life.
type runtimeSpan struct {
	history.RuntimeSpan
	from, to time.Duration
	index    int64
	node     string
}

func (s *runtimeSpan) String() string {
	until := "until " + s.to.String()
	if s.ToNS == 0 {
		until = "to the end"
	}
	return fmt.Sprintf("UID %s%s from %s %s", s.UID, on(s.node), s.from, until)
}

// same tells containers of one and the same pod in one place.
func (s *runtimeSpan) same(t *runtimeSpan) bool { return s.UID == t.UID && s.node == t.node }

func (identities) Name() string { return "identities" }

func (i identities) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var (
		f      findings
		byName = map[string][]runtimeSpan{}
		d      IdentitiesDetail
		last   time.Duration // of the run's operations: the logs were read after them
	)
	for op, err := range src.Ops() {
		if err != nil {
			return Result{}, fmt.Errorf("read the history: %w", err)
		}
		if op.Process != history.Evidence {
			last = op.Time
		}
		if op.Process != history.Evidence || op.F != history.FRuntime {
			continue
		}
		if ctx.Err() != nil {
			f.unknown("%s", errStopped)
			break
		}
		if isNull(op.Value) && op.Error != "" {
			f.unknown("the log of the container runtime on %s could not be read: %s", op.Node, op.Error)
			continue
		}
		s := runtimeSpan{index: op.Index, node: op.Node}
		if err := json.Unmarshal(op.Value, &s.RuntimeSpan); err != nil {
			return Result{}, fmt.Errorf("operation %d: a container's life: %w: %w", op.Index, ErrMalformed, err)
		}
		if s.from = time.Duration(s.FromNS); s.ToNS != 0 {
			s.to = time.Duration(s.ToNS)
		}
		if i.o.Only == nil || i.o.Only(s.Pod) {
			d.Spans++
			byName[s.Pod] = append(byName[s.Pod], s)
		}
	}
	for _, pod := range sortedKeys(byName) {
		for k := range byName[pod] {
			if s := &byName[pod][k]; s.ToNS == 0 {
				s.to = max(last, s.from+1)
			}
		}
		i.judge(&f, &d, pod, byName[pod])
	}
	switch {
	case d.Spans == 0:
		f.unknown("nothing to check: no runtime's log tells of a container")
	case d.Moved == 0 && !i.o.Still:
		f.unknown("nothing to check: no pod was replaced by another of its name")
	}
	return f.result(d.summary(), d)
}

func (d *IdentitiesDetail) summary() string {
	s := fmt.Sprintf("%s, %s, %s replaced", count(d.Identities, "identity", "identities"), count(d.Spans, "container", "containers"),
		count(d.Moved, "pod", "pods"))
	if d.ClosestNS != nil {
		s += fmt.Sprintf(", at the closest after %s", time.Duration(*d.ClosestNS).Round(time.Millisecond))
	}
	return s
}

// judge compares the spans of one name.
func (i identities) judge(f *findings, d *IdentitiesDetail, pod string, spans []runtimeSpan) {
	d.Identities++
	slices.SortFunc(spans, func(a, b runtimeSpan) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.index, b.index)) })
	// Of each pod the span so far that ended last: few pods have one name.
	var last []*runtimeSpan
	for k := range spans {
		s := &spans[k]
		mine := -1
		for n, b := range last {
			if s.same(b) {
				mine = n
				continue
			}
			gap := s.from - b.to
			if g := int64(gap); d.ClosestNS == nil || g < *d.ClosestNS {
				d.ClosestNS = &g
			}
			slack := time.Duration(0)
			if s.node != b.node {
				slack = i.o.Slack
			}
			if overlap := min(s.to, b.to) - s.from; overlap > slack {
				f.add(Anomaly{
					Name: "duplicate-identity", Key: pod, Ops: []int64{s.index, b.index},
					Why: fmt.Sprintf("%s ran twice at the same time: %s, and %s", pod, b, s),
				})
			}
		}
		switch {
		case mine < 0:
			if len(last) > 0 {
				d.Moved++
			}
			last = append(last, s)
		case s.to > last[mine].to:
			last[mine] = s
		}
	}
}

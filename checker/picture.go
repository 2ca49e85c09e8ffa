package checker

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/faultline/faultline/harness/history"
)

// Bounds of a picture.
const (
	pictureBytesMax  = 1 << 20
	pictureOps       = 160 // around the anomaly, halved until the picture is small enough
	pictureStatesMax = 200_000
)

// illustrate adds Porcupine's visualisation of a register to a result: the operations around its first anomaly, with the faults that were
// in force drawn in. Of a part of a history it can't know the first state; it takes any.
func (j *linearizableJudge) illustrate(ctx context.Context, res *Result, r *register, src history.Source, memoryBytes int64) error {
	all, err := j.f.faultsOf(ctx, src)
	if err != nil {
		return err
	}
	var proof []int64
	for _, a := range res.Anomalies {
		if a.Key == r.key && !a.Allowed {
			proof = a.Ops
			break
		}
	}
	memoryBytes = min(memoryBytes, pictureStatesMax*stateBytes)
	for n := pictureOps; n >= 4; n /= 2 {
		html, err := r.picture(ctx, r.around(proof, n), all, memoryBytes)
		if err != nil {
			return fmt.Errorf("draw %s: %w", r.name(), err)
		}
		if len(html) <= pictureBytesMax {
			res.Artifacts = append(res.Artifacts, Artifact{Name: "linearizable-" + fileName(r.key) + ".html", Content: html})
			return nil
		}
	}
	return nil
}

// around are about n operations: the ones nearest to those that prove an anomaly, by invocation.
func (r *register) around(proof []int64, n int) []regOp {
	if len(r.ops) <= n {
		return r.ops
	}
	if len(proof) == 0 {
		return r.ops[:n]
	}
	keep := map[int]bool{}
	each := max(1, n/len(proof))
	for _, index := range proof {
		at := slices.IndexFunc(r.ops, func(o regOp) bool { return o.index() == index })
		if at < 0 {
			continue
		}
		from := max(0, min(at-each*3/4, len(r.ops)-each))
		for i := from; i < min(len(r.ops), from+each); i++ {
			keep[i] = true
		}
	}
	var out []regOp
	for i := range r.ops {
		if keep[i] {
			out = append(out, r.ops[i])
		}
	}
	return out
}

// picture is the HTML of some operations.
func (r *register) picture(ctx context.Context, ops []regOp, all faults, memoryBytes int64) ([]byte, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	initial := regState{}
	if len(ops) < len(r.ops) {
		initial.free = true
	}
	end := ops[0].call
	for i := range ops {
		end = max(end, ops[i].call)
		if !ops[i].unknown() {
			end = max(end, ops[i].ret)
		}
	}
	drawn := operations(ops)
	rows := map[history.Process]int{}
	ops = slices.Clone(ops)
	for i := range ops {
		row, ok := rows[ops[i].process]
		if !ok {
			row = len(rows)
			rows[ops[i].process] = row
		}
		drawn[i].ClientId = row
		drawn[i].Return = min(drawn[i].Return, end+1)
	}
	drawn[len(ops)].ClientId = len(rows) // the end
	_, info := porcupine.CheckOperationsVerbose(r.model(initial, newMeter(ctx, len(ops), memoryBytes)), drawn, 0)
	info.AddAnnotations(annotations(all, ops[0].call, end+1))
	var b bytes.Buffer
	// Drawing steps through what the search found: without the meter, which would refuse.
	if err := porcupine.Visualize(r.model(initial, nil), info, &b); err != nil {
		return nil, fmt.Errorf("visualize: %w", err)
	}
	return b.Bytes(), nil
}

// annotations are the faults that may have been in force between two indexes, a row for each family.
func annotations(all faults, from, to int64) []porcupine.Annotation {
	var out []porcupine.Annotation
	for i := range all.windows {
		w := &all.windows[i]
		if !w.Overlaps(from, to) {
			continue
		}
		a := porcupine.Annotation{
			Tag: w.Family, Start: max(from, w.StartInvoke.Index), End: to,
			Description: fault(w), Details: strings.Join(w.Nodes, ", "), BackgroundColor: "#f4cccc",
		}
		if w.StopComplete.Known {
			a.End = min(to, w.StopComplete.Index)
		}
		out = append(out, a)
	}
	return out
}

// fileName is a key with everything replaced that may be special in a file's name, and cut to a sane length.
func fileName(key string) string {
	const lengthMax = 40
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			return c
		}
		return '_'
	}, key)
	if name == "" {
		return "register"
	}
	return name[:min(len(name), lengthMax)]
}

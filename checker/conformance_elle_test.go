package checker

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/faultline/faultline/checker/transactions"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/internal/conformance"
)

// elleCase is a line of Elle's unit tests.
type elleCase struct {
	Workload string            `json:"workload"`
	Test     string            `json:"test"`
	Opts     elleOptions       `json:"opts"`
	History  []json.RawMessage `json:"history"`
	Result   elleResult        `json:"result"`
}

type elleOptions struct {
	Models    *[]string      `json:"consistency-models"`
	Anomalies []string       `json:"anomalies"`
	Order     map[string]int `json:"transaction-order"`
	// Keys are taken to be in the order of processes, or of real time: then Elle gives anomalies inferred so the plain name.
	Sequential   bool `json:"sequential-keys?"`
	Linearizable bool `json:"linearizable-keys?"`
}

// plain is the name of an anomaly as the options make Elle say it.
func (o elleOptions) plain(name string) string {
	if o.Sequential || o.Linearizable {
		name = strings.TrimSuffix(name, "-process")
	}
	if o.Linearizable {
		name = strings.TrimSuffix(name, "-realtime")
	}
	return name
}

type elleResult struct {
	Valid any      `json:"valid?"`
	Types []string `json:"anomaly-types"`
	Not   []string `json:"not"`
}

// verdict is Elle's verdict in our words.
func (r elleResult) verdict() string {
	types := slices.Sorted(slices.Values(r.Types))
	types = slices.DeleteFunc(types, func(t string) bool { return t == "empty-transaction-graph" || t == "cycle-search-timeout" })
	switch r.Valid {
	case true:
		return "valid"
	case false:
		return strings.TrimSpace("invalid " + strings.Join(types, ", "))
	}
	return "unknown"
}

// elleWords are what its options call sets of anomalies. Only the ones that its tests ask for are here.
var elleWords = map[string][]string{
	"G0":           {"G0"},
	"G1":           {"G0", "G1a", "G1b", "G1c", "incompatible-order", "dirty-update", "duplicate-elements"},
	"G2":           {"G-single-item", "G-nonadjacent-item", "G2-item"},
	"G-single":     {"G-single-item"},
	"dirty-update": {"dirty-update"},
	"internal":     {"internal"},
}

// elleHistory reads operations. Many of Elle's tests break the rules of histories: completions without an invocation get one that begins before
// everything, so that it has no order in time; operations of one process at once get processes of their own.
func elleHistory(t *testing.T, lines []json.RawMessage, order map[string]int) history.Slice {
	t.Helper()
	type op struct {
		Index   *int64          `json:"index"`
		Type    history.Type    `json:"type"`
		Process history.Process `json:"process"`
		Value   json.RawMessage `json:"value"`
	}
	var before, out history.Slice
	open := map[history.Process][]int{} // places in out
	for i, line := range lines {
		var o op
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatal(err)
		}
		h := history.Op{Type: o.Type, Process: o.Process, F: "txn", Value: o.Value}
		if o.Index != nil {
			if n, ok := order[fmt.Sprint(*o.Index)]; ok {
				h.Value = numbered(t, o.Value, n)
			}
		}
		waiting := open[o.Process]
		at := slices.IndexFunc(waiting, func(j int) bool { return elleWrites(t, out[j].Value) == elleWrites(t, o.Value) })
		switch {
		case o.Type == history.Invoke:
			if len(waiting) > 0 {
				h.Process = history.Process(10_000 + i)
			}
			open[o.Process] = append(waiting, len(out))
		case at >= 0:
			h.Process = out[waiting[at]].Process
			open[o.Process] = slices.Delete(waiting, at, at+1)
		default:
			h.Process = history.Process(100_000 + i)
			before = append(before, history.Op{Type: history.Invoke, Process: h.Process, F: "txn", Value: o.Value})
		}
		out = append(out, h)
	}
	out = append(before, out...)
	for i := range out {
		out[i].Index = int64(i)
	}
	return out
}

// elleWrites is what a transaction writes, and the keys that it reads.
func elleWrites(t *testing.T, value json.RawMessage) string {
	t.Helper()
	var micros [][]any
	if err := json.Unmarshal(value, &micros); err != nil {
		t.Fatal(err)
	}
	for i, m := range micros {
		if m[0] == "r" {
			micros[i] = m[:2]
		}
	}
	return fmt.Sprint(micros)
}

// numbered gives every write the number of its transaction as its version: what Elle's tests tell their checker by transaction-order.
func numbered(t *testing.T, value json.RawMessage, n int) json.RawMessage {
	t.Helper()
	var micros [][]any
	if err := json.Unmarshal(value, &micros); err != nil {
		t.Fatal(err)
	}
	for i, m := range micros {
		if m[0] == "w" {
			micros[i] = append(m, n)
		}
	}
	b, err := json.Marshal(micros)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func elleKind(workload string) transactions.Kind {
	if workload == "rw-register" {
		return transactions.RWRegister
	}
	return transactions.ListAppend
}

// ellesVerdict is what we say of a case, in the same words; detail is everything that was found.
func ellesVerdict(t *testing.T, c elleCase, models []string, anomalies []string) (verdict, detail string) {
	t.Helper()
	h := elleHistory(t, c.History, c.Opts.Order)
	if len(models) == 0 {
		models = []string{"read-uncommitted"}
	}
	types := map[string]bool{}
	verdict = "valid"
	for _, model := range models {
		r, err := transactions.Check(context.Background(), h, transactions.Options{Kind: elleKind(c.Workload), Model: model})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range r.Anomalies {
			detail += "; " + a.Name + ": " + a.Why
			name, asked := c.Opts.plain(a.Name), !a.Allowed
			if anomalies != nil {
				asked = slices.ContainsFunc(anomalies, func(w string) bool { return slices.Contains(elleWords[w], name) })
			}
			if asked {
				types[name] = true
			}
		}
		if len(r.Unknown) > 0 && verdict == "valid" {
			verdict = "unknown"
		}
	}
	if len(types) > 0 {
		verdict = "invalid " + strings.Join(sortedKeys(types), ", ")
	}
	return verdict, strings.TrimPrefix(detail, "; ")
}

// lines reads a file of JSON objects, one a line.
func lines[T any](t *testing.T, file string) []T {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	s := bufio.NewScanner(f)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return out
}

func TestConformanceElleUnitTests(t *testing.T) {
	group := conformance.NewGroup(t, "Elle's unit tests")
	for _, file := range conformance.Files(t, "elle/unit-tests*.jsonl") {
		for i, c := range lines[elleCase](t, file) {
			models := []string{transactions.StrictSerializable}
			if c.Opts.Models != nil {
				models = *c.Opts.Models
			}
			ours, detail := ellesVerdict(t, c, models, c.Opts.Anomalies)
			group.Case(fmt.Sprintf("%s:%d %s %s", conformance.Name(t, file), i+1, c.Workload, c.Test), c.Result.verdict(), ours, detail)
		}
	}
}

// TestConformanceElleSimulated compares what does not depend on which cycles of a component are named: the verdict, the anomalies that are no
// cycles, and that whatever Elle rules out is ruled out.
func TestConformanceElleSimulated(t *testing.T) {
	type simulated struct {
		elleCase
		DB       string                `json:"db"`
		Seed     int                   `json:"seed"`
		Verdicts map[string]elleResult `json:"verdicts"`
	}
	group := conformance.NewGroup(t, "Elle's simulated databases")
	for _, file := range conformance.Files(t, "elle/simulated*.jsonl") {
		for _, c := range lines[simulated](t, file) {
			h := elleHistory(t, c.History, nil)
			for _, model := range sortedKeys(c.Verdicts) {
				theirs := c.Verdicts[model]
				r, err := transactions.Check(context.Background(), h, transactions.Options{Kind: transactions.ListAppend, Model: model})
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("%s %s %d %s", conformance.Name(t, file), c.DB, c.Seed, model)
				group.Case(name, theirs.withoutCycles(), oursWithoutCycles(r, theirs.Not), fmt.Sprint(r.Found))
			}
		}
	}
}

func isCycle(name string) bool {
	return strings.HasPrefix(name, "G0") || strings.HasPrefix(name, "G1c") || strings.HasPrefix(name, "G-") || strings.HasPrefix(name, "G2") ||
		strings.HasPrefix(name, "strong-PL")
}

func (r elleResult) withoutCycles() string {
	r.Types = slices.DeleteFunc(slices.Clone(r.Types), isCycle)
	return r.verdict()
}

// oursWithoutCycles is our verdict in the same words, and which of the models that they rule out we do not.
func oursWithoutCycles(r transactions.Report, not []string) string {
	var missing []string
	for _, m := range not {
		if !r.RulesOut(m) {
			missing = append(missing, m)
		}
	}
	words := []string{"valid"}
	switch {
	case r.Broken:
		types := map[string]bool{}
		for _, a := range r.Anomalies {
			if !a.Allowed && !isCycle(a.Name) {
				types[a.Name] = true
			}
		}
		words = []string{"invalid"}
		if len(types) > 0 {
			words = append(words, strings.Join(sortedKeys(types), ", "))
		}
	case len(r.Unknown) > 0:
		words = []string{"unknown"}
	}
	if len(missing) > 0 {
		words = append(words, "but "+strings.Join(missing, ", ")+" may hold")
	}
	return strings.Join(words, " ")
}

package transactions

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrUnknownModel is what asking for a model gives that is not in the table.
var ErrUnknownModel = errors.New("unknown consistency model")

// StrictSerializable is the model that is asked for by default.
const StrictSerializable = "strict-serializable"

// Model is a consistency model.
type Model struct {
	Name string
	// Also are other names of it.
	Also []string
	// Weaker are the models right below: whatever rules one of them out rules this one out.
	Weaker []string
	// Proscribes are the anomalies that rule this model out and none of the weaker ones.
	Proscribes []string
	// Source is where it was defined.
	Source string
}

const (
	adya     = "Adya: Weak Consistency, 1999"
	bailis   = "Bailis et al.: Highly Available Transactions, VLDB 2013"
	ramp     = "Bailis et al.: Scalable Atomic Visibility with RAMP Transactions, SIGMOD 2014"
	cerone   = "Cerone, Bernardi, Gotsman: A Framework for Transactional Consistency Models with Atomic Visibility, CONCUR 2015"
	analysis = "Cerone, Gotsman: Analysing Snapshot Isolation, PODC 2016 (a cycle with fewer than two anti-dependencies)"
	daudjee  = "Daudjee, Salem: Lazy Database Replication with Snapshot Isolation, VLDB 2006"
	elle     = "Kingsbury, Alvaro: Elle, VLDB 2020"
)

// Models are the known models, each behind the ones that are weaker. The arrows are those of the papers named and of Elle's graph.
var Models = []Model{
	{
		Name: "read-uncommitted", Also: []string{"PL-1"}, Source: adya,
		Proscribes: []string{"G0", "cyclic-versions", "duplicate-elements", "garbage-read"},
	},
	{Name: "strong-session-read-uncommitted", Weaker: []string{"read-uncommitted"}, Proscribes: []string{"G0-process"}, Source: elle},
	{Name: "strong-read-uncommitted", Weaker: []string{"strong-session-read-uncommitted"}, Proscribes: []string{"G0-realtime"}, Source: elle},
	{
		Name: "read-committed", Also: []string{"PL-2"}, Weaker: []string{"read-uncommitted"}, Source: adya,
		Proscribes: []string{"G1a", "G1b", "G1c", "dirty-update", "future-read", "incompatible-order"},
	},
	{
		Name: "strong-session-read-committed", Weaker: []string{"read-committed", "strong-session-read-uncommitted"},
		Proscribes: []string{"G1c-process"}, Source: elle,
	},
	{
		Name: "strong-read-committed", Weaker: []string{"strong-session-read-committed", "strong-read-uncommitted"},
		Proscribes: []string{"G1c-realtime"}, Source: elle,
	},
	{Name: "monotonic-atomic-view", Also: []string{"MAV"}, Weaker: []string{"read-committed"}, Source: bailis},
	{
		Name: "cursor-stability", Also: []string{"PL-CS"}, Weaker: []string{"read-committed"}, Source: adya,
		Proscribes: []string{"lost-update"},
	},
	{Name: "monotonic-view", Also: []string{"PL-2L"}, Weaker: []string{"read-committed"}, Source: adya},
	{Name: "monotonic-snapshot-read", Also: []string{"PL-MSR"}, Weaker: []string{"monotonic-view"}, Source: adya},
	{
		Name: "consistent-view", Also: []string{"PL-2+"}, Weaker: []string{"cursor-stability", "monotonic-snapshot-read"}, Source: adya,
		Proscribes: []string{"G-single-item"},
	},
	{Name: "forward-consistent-view", Also: []string{"PL-FCV"}, Weaker: []string{"consistent-view"}, Source: adya},
	{
		Name: "read-atomic", Also: []string{"RA"}, Weaker: []string{"monotonic-atomic-view"}, Source: ramp,
		Proscribes: []string{"internal"},
	},
	{Name: "causal", Also: []string{"causal-cerone", "transactional-causal"}, Weaker: []string{"read-atomic"}, Source: cerone},
	{Name: "prefix", Also: []string{"PC"}, Weaker: []string{"causal"}, Source: cerone},
	{Name: "update-atomic", Weaker: []string{"read-atomic"}, Proscribes: []string{"lost-update"}, Source: cerone},
	{
		Name: "parallel-snapshot-isolation", Also: []string{"PSI"}, Weaker: []string{"causal", "update-atomic"}, Source: analysis,
		Proscribes: []string{"G-single-item"},
	},
	{
		Name: "repeatable-read", Also: []string{"PL-2.99"}, Weaker: []string{"cursor-stability"}, Source: adya,
		Proscribes: []string{"G-single-item", "G-nonadjacent-item", "G2-item", "internal"},
	},
	{
		Name: "snapshot-isolation", Also: []string{"SI", "PL-SI"}, Source: adya + "; " + analysis,
		Weaker:     []string{"forward-consistent-view", "parallel-snapshot-isolation", "prefix"},
		Proscribes: []string{"G-nonadjacent-item"},
	},
	// Cycles whose transactions all write rule it out too.
	{Name: "update-serializable", Also: []string{"PL-3U"}, Weaker: []string{"forward-consistent-view"}, Source: adya},
	{
		Name: "serializable", Also: []string{"PL-3"}, Weaker: []string{"repeatable-read", "snapshot-isolation", "update-serializable"},
		Source: adya,
	},
	{
		Name: "strong-session-snapshot-isolation", Also: []string{"strong-session-SI"},
		Weaker: []string{"snapshot-isolation", "strong-session-read-committed"}, Source: daudjee,
		Proscribes: []string{"G-single-item-process", "G-nonadjacent-item-process"},
	},
	{
		Name: "strong-snapshot-isolation", Also: []string{"strong-SI"},
		Weaker: []string{"strong-session-snapshot-isolation", "strong-read-committed"}, Source: daudjee,
		Proscribes: []string{"G-single-item-realtime", "G-nonadjacent-item-realtime"},
	},
	{
		Name: "strong-session-serializable", Also: []string{"strong-session-PL-3"},
		Weaker: []string{"serializable", "strong-session-snapshot-isolation"}, Source: daudjee,
		Proscribes: []string{"G2-item-process"},
	},
	{
		Name: StrictSerializable, Also: []string{"strong-serializable", "PL-SS"},
		Weaker: []string{"strong-session-serializable", "strong-snapshot-isolation"}, Source: adya,
		Proscribes: []string{"G2-item-realtime"},
	},
}

// ModelNames are the names of the models, the weaker ones first.
func ModelNames() []string {
	out := make([]string, len(Models))
	for i, m := range Models {
		out[i] = m.Name
	}
	return out
}

// Lookup finds a model by any of its names; empty is strict-serializable. The error names the nearest one.
func Lookup(name string) (Model, error) {
	if name == "" {
		name = StrictSerializable
	}
	i, err := lookup(name)
	if err != nil {
		return Model{}, err
	}
	return Models[i], nil
}

// modelSet is a set of models by their place in the table.
type modelSet uint64

func (s modelSet) has(i int) bool { return s>>i&1 != 0 }

// lookup finds a model by any of its names.
func lookup(name string) (int, error) {
	for i, m := range Models {
		if m.Name == name || slices.Contains(m.Also, name) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w %q%s", ErrUnknownModel, name, nearest(name))
}

// nearest suggests the name that takes the fewest changes.
func nearest(name string) string {
	best, least := "", len(name)/2+2
	for _, m := range Models {
		for _, n := range append([]string{m.Name}, m.Also...) {
			if d := distance(name, n); d < least {
				best, least = n, d
			}
		}
	}
	if best == "" {
		return fmt.Sprintf(" (one of %v)", ModelNames())
	}
	return fmt.Sprintf(": did you mean %s?", best)
}

// distance is how many letters must be added, removed or replaced to get from a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := left
			if a[i] != b[j] {
				replaced++
			}
			left = row[j+1]
			row[j+1] = min(replaced, row[j]+1, left+1)
		}
	}
	return row[len(b)]
}

// atLeast are the models that are as strong as model i, with itself.
func atLeast(i int) modelSet { return stronger()[i] }

var stronger = sync.OnceValue(func() []modelSet {
	out := make([]modelSet, len(Models))
	for i := range Models {
		out[i] = 1 << i
		for j := i + 1; j < len(Models); j++ {
			for _, w := range Models[j].Weaker {
				if k, _ := lookup(w); out[i].has(k) {
					out[i] |= 1 << j
				}
			}
		}
	}
	return out
})

// ruledOut are the models that an anomaly rules out.
func ruledOut(anomaly string) modelSet {
	var set modelSet
	for i, m := range Models {
		if slices.Contains(m.Proscribes, anomaly) {
			set |= atLeast(i)
		}
	}
	return set
}

// names are the models of a set: of their kind the weakest, or the strongest.
func (s modelSet) names(keep func(i int) bool) []string {
	var out []string
	for i, m := range Models {
		if s.has(i) && keep(i) {
			out = append(out, m.Name)
		}
	}
	return out
}

// weakest are the models of a set that no other of it is weaker than.
func (s modelSet) weakest() []string {
	return s.names(func(i int) bool {
		return !slices.ContainsFunc(Models[i].Weaker, func(w string) bool { j, _ := lookup(w); return s.has(j) })
	})
}

// strongest are the models of a set that no other of it is stronger than.
func (s modelSet) strongest() []string {
	return s.names(func(i int) bool { return atLeast(i)&s == 1<<i })
}

// every is the set of all models.
func every() modelSet { return 1<<len(Models) - 1 }

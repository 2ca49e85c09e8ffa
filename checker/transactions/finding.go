package transactions

import (
	"fmt"
	"strings"
)

// listedMax bounds how many findings of one name are explained; all of them are counted.
const listedMax = 10

// finding is an anomaly, before its models are known.
type finding struct {
	name string
	key  string
	txns []int32
	why  string
	// floor is the weakest model whose histories it can be inferred from: the anomaly rules out no other.
	floor string
	// also are models that it rules out beside those of its name.
	also  modelSet
	cycle *cycle
}

// find counts an anomaly, and explains it if it is one of the first of its name.
func (p *part) find(name string, explain func() finding) { p.findIn(name, "", explain) }

// findIn does so for an anomaly that can be inferred only in a model, or a stronger one.
func (p *part) findIn(name, floor string, explain func() finding) {
	if p.count == nil {
		p.count, p.listed = map[string]int{}, map[string]int{}
	}
	p.count[name]++
	if p.listed[name+floor]++; p.listed[name+floor] > listedMax {
		return
	}
	f := explain()
	f.name, f.floor = name, floor
	p.found = append(p.found, f)
}

// name is how a sentence calls a transaction: T and the index of its completion, or of its invocation where it has none.
func (t *table) name(txn int32) string { return fmt.Sprintf("T%d", t.txns[txn].name) }

// names lists transactions: "T1, T5 and T7".
func (t *table) names(txns []int32) string {
	words := make([]string, 0, len(txns))
	for i, x := range txns {
		if i == 8 && len(txns) > 9 {
			words = append(words, fmt.Sprintf("%d more", len(txns)-i))
			break
		}
		words = append(words, t.name(x))
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// show writes a list, its beginning left out where it is long.
func (t *table) show(values []value) string {
	const shown = 12
	words := make([]string, 0, shown)
	skipped := ""
	if len(values) > shown {
		skipped, values = "… ", values[len(values)-shown:]
	}
	for _, v := range values {
		words = append(words, t.texts.text(v))
	}
	return "[" + skipped + strings.Join(words, " ") + "]"
}

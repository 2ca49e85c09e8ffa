package transactions

import (
	"fmt"
	"slices"
	"strings"
)

// explain says a cycle in one sentence, with the reason for each edge.
func (t *table) explain(c *cycle) string {
	var b strings.Builder
	for i, k := range c.steps {
		from, to := c.txns[i], c.txns[(i+1)%len(c.txns)]
		switch {
		case i == 0:
		case i == len(c.steps)-1:
			b.WriteString(", but ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(t.reason(from, to, k))
	}
	return b.String()
}

// reason says why one transaction must have come before another.
func (t *table) reason(from, to int32, k edgeKind) string {
	a, b := t.name(from), t.name(to)
	switch {
	case k.kind() == process:
		return fmt.Sprintf("%s came before %s in process %s", a, b, t.txns[from].process)
	case k.kind() == realtime:
		return fmt.Sprintf("%s completed before %s began", a, b)
	case t.kind == ListAppend:
		return t.listReason(from, to, k)
	}
	return t.registerReason(from, to, k) + k.grounds()
}

// grounds says what an order of versions was inferred from, where that is not the reads themselves.
func (k edgeKind) grounds() string {
	switch {
	case k&fromProcess != 0:
		return " (by the order of a process)"
	case k&fromRealtime != 0:
		return " (by real time)"
	}
	return ""
}

// microsOf are the micro-operations of a transaction.
func (t *table) microsOf(txn int32) []micro {
	end := int32(len(t.micros))
	if int(txn)+1 < len(t.txns) {
		end = t.txns[txn+1].first
	}
	return t.micros[t.txns[txn].first:end]
}

// place is where an element stands in a list, or its length for one that is not there.
func place(list []value, v value) int {
	if i := slices.Index(list, v); i >= 0 {
		return i
	}
	return len(list)
}

// listReason finds the elements that an edge comes from: for a ww or rw edge those that follow each other the closest.
func (t *table) listReason(from, to int32, k edgeKind) string {
	a, b := t.name(from), t.name(to)
	best, least := a+" came before "+b, int(^uint(0)>>1)
	offer := func(gap int, sentence string, args ...any) {
		if gap >= 0 && gap < least {
			best, least = fmt.Sprintf(sentence, args...), gap
		}
	}
	for _, x := range t.microsOf(from) {
		for _, y := range t.microsOf(to) {
			if x.key != y.key {
				continue
			}
			key, trunk := t.keys.names[x.key], t.lists[x.key].values
			switch {
			case k.kind() == ww && x.n == wrote && y.n == wrote:
				offer(place(trunk, y.value)-place(trunk, x.value)-1, "%s appended %s to %s before %s's %s",
					a, t.texts.text(x.value), key, b, t.texts.text(y.value))
			case k.kind() == wr && x.n == wrote && y.n != wrote && slices.Contains(t.list(y), x.value):
				offer(len(t.list(y))-place(t.list(y), x.value)-1, "%s appended %s to %s, which %s read", a, t.texts.text(x.value), key, b)
			case k.kind() == rw && x.n != wrote && y.n == wrote && !slices.Contains(t.list(x), y.value):
				offer(place(trunk, y.value)-len(t.list(x)), "%s did not see %s's append of %s to %s: it read %s",
					a, b, t.texts.text(y.value), key, t.show(t.list(x)))
			}
		}
	}
	return best
}

// registerReason finds the values that an edge comes from.
func (t *table) registerReason(from, to int32, k edgeKind) string {
	a, b := t.name(from), t.name(to)
	for _, x := range t.microsOf(from) {
		for _, y := range t.microsOf(to) {
			if x.key != y.key {
				continue
			}
			key, v, next := t.keys.names[x.key], t.texts.text(x.value), t.texts.text(y.value)
			switch {
			case k.kind() == wr && x.n == wrote && y.n != wrote && x.value == y.value:
				return fmt.Sprintf("%s wrote %s to %s, which %s read", a, v, key, b)
			case k.kind() == ww && x.n == wrote && y.n == wrote:
				return fmt.Sprintf("%s wrote %s to %s before %s wrote %s", a, v, key, b, next)
			case k.kind() == rw && x.n != wrote && y.n == wrote && x.value != y.value:
				return fmt.Sprintf("%s read %s as %s before %s wrote %s", a, key, v, b, next)
			}
		}
	}
	return a + " came before " + b
}

// text is a transaction as people read it: r x [1 2], append y 3.
func (t *table) text(txn int32) string {
	var words []string
	for _, m := range t.microsOf(txn) {
		key := t.keys.names[m.key]
		switch {
		case m.n == wrote && t.kind == ListAppend:
			words = append(words, "append "+key+" "+t.texts.text(m.value))
		case m.n == wrote:
			words = append(words, "w "+key+" "+t.texts.text(m.value))
		case t.kind == ListAppend:
			words = append(words, "r "+key+" "+t.show(t.list(m)))
		default:
			words = append(words, "r "+key+" "+t.texts.text(m.value))
		}
	}
	return strings.Join(words, ", ")
}

// describe is a cycle on lines of its own: the transactions, then the reason for each edge.
func (t *table) describe(name string, c *cycle) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", name)
	for _, x := range c.txns {
		outcome := ""
		if !t.txns[x].ok() {
			outcome = ", of unknown outcome"
		}
		fmt.Fprintf(&b, "  %s (process %s%s): %s\n", t.name(x), t.txns[x].process, outcome, t.text(x))
	}
	for i, k := range c.steps {
		from, to := c.txns[i], c.txns[(i+1)%len(c.txns)]
		fmt.Fprintf(&b, "  %s -%s-> %s: %s\n", t.name(from), k.word(), t.name(to), t.reason(from, to, k))
	}
	return b.String()
}

// word is what an edge is called in pictures.
func (k edgeKind) word() string {
	return [...]string{"ww", "wr", "rw", "process", "realtime", "", "", ""}[k.kind()]
}

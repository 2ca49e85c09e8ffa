package transactions

import (
	"fmt"
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
	if k.kind() == process {
		return fmt.Sprintf("%s came before %s in process %s", a, b, t.txns[from].process)
	}
	if k.kind() == realtime {
		return fmt.Sprintf("%s completed before %s began", a, b)
	}
	return t.dependency(from, to, k)
}

// dependency tells a ww, wr or rw edge by the key and the values that it comes from.
func (t *table) dependency(from, to int32, k edgeKind) string {
	return t.name(from) + [...]string{" wrote before ", " was read by ", " read what was overwritten by "}[k.kind()] + t.name(to)
}

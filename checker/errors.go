package checker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// Prefixes of Op.Error that clients and the runner owe this checker.
const (
	// PrefixUnexpected begins an error that no list of the client knows.
	PrefixUnexpected = "unexpected:"
	// PrefixPanic begins what was recorded for a client that panicked.
	PrefixPanic = "panic:"
)

// Errors groups the errors of client operations and judges the ones that nobody foresaw.
//
// A panic of a client and an error without a class are no broken promise of the system: they are Unknown, because
// either may hide one. The reason shows the error, so that it can be classified. Everything else is listed only.
func Errors() Checker { return errorsChecker{} }

type errorsChecker struct{}

// ErrorGroup is how often one kind of error was seen.
type ErrorGroup struct {
	// Error is the text with its numbers replaced by N.
	Error string `json:"error"`
	F     string `json:"f"`
	Type  string `json:"type"`
	Count int64  `json:"count"`
	// First is the index of the first completion that carries it, Sample its text.
	First  int64  `json:"first"`
	Sample string `json:"sample"`
}

// ErrorsDetail is the Detail of Errors: the groups, the most frequent first, and how many more there were.
type ErrorsDetail struct {
	Groups []*ErrorGroup `json:"groups"`
	More   int64         `json:"more,omitempty"`
}

const (
	errorGroupsMax = 200
	sampleMax      = 300 // bytes
)

func (errorsChecker) Name() string { return "errors" }

func (errorsChecker) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var (
		f           findings
		groups      = map[ErrorGroup]*ErrorGroup{}
		d           ErrorsDetail
		seen, wrong int64
	)
	err := f.clients(ctx, src, func(p history.Pair) error {
		seen++
		if p.Complete.Error == "" {
			return nil
		}
		wrong++
		key := ErrorGroup{Error: withoutNumbers(clip(p.Complete.Error)), F: p.Invoke.F, Type: p.Outcome().String()}
		g := groups[key]
		if g == nil {
			if len(groups) == errorGroupsMax {
				d.More++
				return nil
			}
			n := key
			n.First, n.Sample = p.Complete.Index, clip(p.Complete.Error)
			g = &n
			groups[key] = g
		}
		g.Count++
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	d.Groups = slices.SortedFunc(maps.Values(groups), func(a, b *ErrorGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.First, b.First))
	})
	if seen == 0 {
		f.unknown("no client operation was invoked")
	}
	unforeseen := 0
	for _, g := range d.Groups {
		switch {
		case strings.HasPrefix(g.Sample, PrefixPanic):
			f.unknown("a client panicked in %s (%s, the first is operation %d): %s", g.F, count(g.Count, "time", "times"), g.First, g.Sample)
		case strings.HasPrefix(g.Sample, PrefixUnexpected):
			f.unknown("an error that no list knows ended %s (%s, the first is operation %d): %s",
				g.F, count(g.Count, "time", "times"), g.First, g.Sample)
		default:
			continue
		}
		unforeseen++
	}
	return f.result(fmt.Sprintf("%s of %s, %d unforeseen", count(len(d.Groups), "kind of error", "kinds of error"),
		count(wrong, "failed operation", "failed operations"), unforeseen), d)
}

// withoutNumbers makes errors alike that differ in ports, revisions and times only.
func withoutNumbers(s string) string {
	var b strings.Builder
	digits := false
	for _, c := range s {
		isDigit := c >= '0' && c <= '9'
		if isDigit && !digits {
			b.WriteByte('N')
		} else if !isDigit {
			b.WriteRune(c)
		}
		digits = isDigit
	}
	return b.String()
}

func clip(s string) string {
	if len(s) > sampleMax {
		return strings.ToValidUTF8(s[:sampleMax], "") + "…"
	}
	return s
}

package checker

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// listedMax bounds how many anomalies of one name a result lists; all of them are counted.
const listedMax = 10

// findings collects what a checker found and turns it into a Result.
type findings struct {
	anomalies []Anomaly
	found     map[string]int
	broken    int // anomalies that the promise does not allow
	reasons   []string
}

// add records an anomaly. The first of each name are listed.
func (f *findings) add(a Anomaly) {
	if f.found == nil {
		f.found = map[string]int{}
	}
	if !a.Allowed {
		f.broken++
	}
	f.found[a.Name]++
	listed := 0
	for _, b := range f.anomalies {
		if b.Name == a.Name && b.Allowed == a.Allowed {
			listed++
		}
	}
	if listed < listedMax {
		f.anomalies = append(f.anomalies, a)
	}
}

// unknown records why a Valid verdict can't be given.
func (f *findings) unknown(format string, args ...any) {
	f.reasons = append(f.reasons, fmt.Sprintf(format, args...))
}

// result is Invalid if a promise was broken, else Unknown if something could not be decided, else Valid.
// The broken promises come first.
func (f *findings) result(summary string, detail any) (Result, error) {
	slices.SortStableFunc(f.anomalies, func(a, b Anomaly) int {
		switch {
		case a.Allowed == b.Allowed:
			return 0
		case a.Allowed:
			return 1
		}
		return -1
	})
	r := Result{Verdict: Valid, Reasons: f.reasons, Anomalies: f.anomalies, Found: f.found, Summary: summary}
	switch {
	case f.broken > 0:
		r.Verdict = Invalid
	case len(f.reasons) > 0:
		r.Verdict = Unknown
	}
	if detail != nil {
		d, err := json.Marshal(detail)
		if err != nil {
			return r, fmt.Errorf("write the detail: %w", err)
		}
		r.Detail = d
	}
	return r, nil
}

// count is "1 key", "2 keys", "14,211 keys".
func count[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(int64(n)) + " " + many
}

// thousands writes a number with a comma between groups of three digits.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}

// sortedKeys are the keys of a map, in order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

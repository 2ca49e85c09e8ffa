// Package checker decides from a history alone whether the promises held. A checker cannot reach
// a cluster; what it needs is in the history.
package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// Verdict is what a checker decided. The zero value is Unknown and never passes.
type Verdict uint8

// The three verdicts.
const (
	Unknown Verdict = iota
	Valid
	Invalid
)

// String is the verdict's word in results and on the screen.
func (v Verdict) String() string {
	switch v {
	case Valid:
		return "valid"
	case Invalid:
		return "invalid"
	case Unknown:
	}
	return "unknown"
}

// MarshalText writes the verdict's word.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the verdict's word.
func (v *Verdict) UnmarshalText(b []byte) error {
	for _, w := range []Verdict{Unknown, Valid, Invalid} {
		if w.String() == string(b) {
			*v = w
			return nil
		}
	}
	return fmt.Errorf("unknown verdict %q (want valid, invalid or unknown)", b)
}

// Compose is the verdict of several: Invalid if any is, else Unknown if any is, else Valid.
// Nothing composed is Unknown.
func Compose(vs ...Verdict) Verdict {
	if len(vs) == 0 {
		return Unknown
	}
	out := Valid
	for _, v := range vs {
		if v == Invalid {
			return Invalid
		}
		if v == Unknown {
			out = Unknown
		}
	}
	return out
}

// Anomaly is one broken promise, with the operations that prove it.
type Anomaly struct {
	// Name is the literature's: stale-read, lost-update, G1a, …
	Name string `json:"name"`
	// Key is the object it was seen on, where there is one.
	Key string `json:"key,omitempty"`
	// Ops are the operations that prove it, in the order in which Why tells of them: each by the index of its
	// completion, which says what it saw, or of its invocation where it has none.
	Ops []int64 `json:"ops"`
	// Why explains it in one sentence.
	Why string `json:"why"`
	// Allowed: the promise that this run holds the system to permits it; it counts for nothing.
	Allowed bool `json:"allowed,omitempty"`
}

// Artifact is a file that a checker made for people, such as a visualisation.
type Artifact struct {
	Name    string `json:"name"`
	Content []byte `json:"-"`
}

// Result is what a checker has to say.
type Result struct {
	Checker string  `json:"checker"`
	Verdict Verdict `json:"verdict"`
	// Reasons say why the verdict is Unknown: out of time or memory, nothing to check, a fault
	// that did not take effect, load too low. Every Unknown has at least one.
	Reasons   []string  `json:"reasons,omitempty"`
	Anomalies []Anomaly `json:"anomalies,omitempty"`
	// Found counts anomalies by name, the allowed ones and the ones beyond the bound on Anomalies included.
	Found map[string]int `json:"found,omitempty"`
	// Summary is one line on what was checked, for the console: "20 keys, 14,211 operations".
	Summary string `json:"summary"`
	// Detail is the checker's own: rates, latencies, coverage.
	Detail    json.RawMessage `json:"detail,omitempty"`
	Artifacts []Artifact      `json:"artifacts,omitempty"`
	Elapsed   time.Duration   `json:"elapsed_ns"`
}

// Budget bounds a check. Past it a checker says Unknown, after its cheap sound checks had their
// chance to say Invalid. A zero Time sets no limit; a zero MemoryBytes means 1 GiB.
type Budget struct {
	Time        time.Duration
	MemoryBytes int64
}

// Checker judges one promise. Check must not keep or change anything outside of it: it may run at
// the same time as others on the same Source. It honours both ctx and the budget.
// An error is the harness's failure (an unreadable history), never a verdict.
type Checker interface {
	Name() string
	Check(ctx context.Context, h history.Source, b Budget) (Result, error)
}

// Minimum is what a run must have exercised for a Valid verdict to mean something. Zero asks nothing.
type Minimum struct {
	// OK is the least number of ok client operations.
	OK int64
	// ContendedKeys is the least number of keys that at least two processes touched, one of them by writing.
	ContendedKeys int64
	// ReadsDuring and ReadsAfter are the least numbers of ok reads during each kind of fault, and between
	// its end and the next start of the same kind (or the end).
	ReadsDuring int64
	ReadsAfter  int64
}

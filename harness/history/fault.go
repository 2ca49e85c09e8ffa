package history

import (
	"encoding/json"
	"strings"
)

// Fault is the value of a nemesis operation whose function is start-FAMILY or stop-FAMILY.
// The invocation says what was planned, the completion what was done. Types of completions:
// ok: it acted and Proof shows the effect; fail: it found nothing to act on (Error says why; it is
// scheduled again); info: it acted, or may have, and the effect is not proved.
type Fault struct {
	// ID pairs a start with its stop: "partition-3" is the third partition of the run.
	ID string `json:"id"`
	// Family is the fault's row in the table of faults: partition, kill, pause.
	Family string `json:"family"`
	// Variant is the words that were asked for or drawn, joined by "+": "leader+drop+peer".
	Variant string `json:"variant,omitempty"`
	// Requested is the entry of --nemesis that this fault serves: "partition:leader".
	Requested string `json:"requested,omitempty"`
	// Nodes are the nodes acted on, as resolved: what the system decided (who leads) is here.
	Nodes []string `json:"nodes,omitempty"`
	// Detail is the family's own: the grudge of a partition, the components of a kill.
	Detail json.RawMessage `json:"detail,omitempty"`
	// Proof is what shows that the fault took effect, in the family's own shape.
	Proof json.RawMessage `json:"proof,omitempty"`
}

// Functions of nemesis operations, beside start-FAMILY and stop-FAMILY.
const (
	FHeal         = "heal"          // undo every fault that is still in force
	FAwaitHealthy = "await-healthy" // wait for the system to be well again, within a bound
	FMembers      = "members"       // what each member says of itself; value: []MemberState
	FFinalReads   = "final-reads"   // marks that the reads that follow are final ones
)

// FCommitted is the function of an evidence operation that tells of a write that the store has: a watch that began after the run delivered it.
// Key is its key, Value what it wrote (null: it deleted the key), Version and Revision the revision that it took. It settles that an
// operation of unknown outcome happened; that there is none settles nothing.
const FCommitted = "committed"

// FLog is the function of an evidence operation that carries a line of a node's log which matched
// a pattern of alarm (a panic, a fatal error, data corruption); value: LogLine.
const FLog = "log"

// FHashes is the function of an evidence operation that says what the members said of themselves while the run went on, each
// hashed at one revision, the lowest that any of them had reached; value: []MemberState.
const FHashes = "hashes"

// FWatchdog is the function of an evidence operation that says what a node's watchdog undid because the driver
// gave no sign of life in time; value: a list of sentences. A fault that ended so did not last as recorded.
const FWatchdog = "watchdog"

// LogLine is the value of an evidence operation of function FLog.
type LogLine struct {
	Component string `json:"component"`
	Pattern   string `json:"pattern"`
	Line      string `json:"line"`
}

// MemberState is what one member said of itself, after the quiet period or in between. Hash is asked at HashRevision,
// the same for all members, and may be compared only where CompactRevision is equal too.
type MemberState struct {
	Node            string `json:"node"`
	Revision        int64  `json:"revision"`
	CompactRevision int64  `json:"compact_revision"`
	HashRevision    int64  `json:"hash_revision"`
	Hash            uint64 `json:"hash"`
	Version         string `json:"version,omitempty"`
	Leader          string `json:"leader,omitempty"`
	Term            uint64 `json:"term,omitempty"`
	// Error is why the member could not be asked; the numbers mean nothing then.
	Error string `json:"error,omitempty"`
}

// StartOf and StopOf are the functions of the operations that begin and end a fault of a family.
func StartOf(family string) string { return "start-" + family }

// StopOf is StartOf's counterpart.
func StopOf(family string) string { return "stop-" + family }

// FamilyOf takes such a function apart; ok is false for any other function.
func FamilyOf(f string) (family string, start, ok bool) {
	if s, found := strings.CutPrefix(f, "start-"); found {
		return s, true, true
	}
	if s, found := strings.CutPrefix(f, "stop-"); found {
		return s, false, true
	}
	return "", false, false
}

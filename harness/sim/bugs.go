package sim

import (
	"errors"
	"fmt"

	"github.com/faultline/faultline/harness/sim/controlplane"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// Bug is a row of the table of bugs that can be planted.
type Bug struct {
	Name string
	Doc  string
	// Workloads are those that it shows in, by the names of Options.
	Workloads []string
	store     replicated.Flaw
	plane     controlplane.Flaw
}

// Bugs are the bugs that can be planted.
var Bugs = []Bug{
	{"stale-read", "some reads are served from the node's own copy, without asking the leader", []string{"register", "set"}, replicated.StaleRead, controlplane.Healthy},
	{"lost-write", "a write is acknowledged and never done", []string{"register", "set"}, replicated.LostWrite, controlplane.Healthy},
	{"double-apply", "a write is done again, some time later", []string{"register", "set", "append"}, replicated.DoubleApply, controlplane.Healthy},
	{"cas-ignores-guard", "a compare-and-set writes whatever it finds", []string{"register", "set"}, replicated.CasIgnoresGuard, controlplane.Healthy},
	{"failed-write-surfaces", "a write is refused and done all the same, later", []string{"register", "set", "append"}, replicated.FailedWriteSurfaces, controlplane.Healthy},
	{"split-brain", "both sides of a partition serve reads and writes; one side's writes are gone after it", []string{"register", "set", "append"}, replicated.SplitBrain, controlplane.Healthy},
	{"element-lost", "an addition to a list drops one of its elements", []string{"set", "append"}, replicated.ElementLost, controlplane.Healthy},
	{"own-append-unseen", "a transaction reads as if it had not appended", []string{"append"}, replicated.OwnAppendUnseen, controlplane.Healthy},
	{"torn-transaction", "a transaction is done in two halves, others in between", []string{"append"}, replicated.TornTransaction, controlplane.Healthy},
}

// ErrUnknownBug is a name that is not in the table.
var ErrUnknownBug = errors.New("no such bug")

// bugNamed finds a row; the empty name is that of a healthy system.
func bugNamed(name string) (Bug, error) {
	if name == "" {
		return Bug{}, nil
	}
	for _, b := range Bugs {
		if b.Name == name {
			return b, nil
		}
	}
	return Bug{}, fmt.Errorf("%q: %w", name, ErrUnknownBug)
}

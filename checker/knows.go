package checker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Knower is a checker that judges operations of certain functions, and passes over all others. A checker that is none judges whatever there is.
type Knower interface {
	// Functions are the functions of clients that it judges.
	Functions() []string
}

// UnknownError is what asking checkers about a history gives that they can't judge: they would pass over operations that may have done anything.
type UnknownError struct {
	Checker string
	// Has are the functions of the history that are not known, with how many operations each has; Knows those that the checker knows.
	Has   map[string]int64
	Knows []string
}

func (e *UnknownError) Error() string {
	var has []string
	for _, f := range slices.Sorted(maps.Keys(e.Has)) {
		has = append(has, fmt.Sprintf("%s (%s)", f, count(e.Has[f], "operation", "operations")))
	}
	return fmt.Sprintf("%s can't judge this history: it has %s; %s knows %s", e.Checker, strings.Join(has, ", "), e.Checker, strings.Join(e.Knows, ", "))
}

// Ask tells whether checkers can judge a history with so many client operations of each function: each of them must know one of the functions,
// and, if all is set, each function must be known to one of them. The error is an *UnknownError.
func Ask(checkers []Checker, functions map[string]int64, all bool) error {
	rest := maps.Clone(functions)
	var last *UnknownError
	for _, c := range checkers {
		k, ok := c.(Knower)
		if !ok {
			continue
		}
		known := k.Functions()
		last = &UnknownError{c.Name(), maps.Clone(functions), known}
		for _, f := range known {
			delete(last.Has, f)
			delete(rest, f)
		}
		if len(functions) > 0 && len(last.Has) == len(functions) {
			return last
		}
	}
	if all && last != nil && len(rest) > 0 {
		last.Has = rest
		return last
	}
	return nil
}

// What the checkers of this package know. Those that are not here judge operations of all functions, or evidence.
var (
	registerFunctions   = []string{fRead, fWrite, fCAS}
	versionedFunctions  = []string{fRead, fWrite, fCAS, fAdd, fDelete, fTxn}
	collectionFunctions = []string{fCreate, fUpdate, fDelete, fList, fWatch}
)

// Functions are those of registers.
func (linearizable) Functions() []string { return registerFunctions }

// Functions are those of sets.
func (set) Functions() []string { return []string{fAdd, fRead} }

// Functions are those of counters.
func (counter) Functions() []string { return []string{fAdd, fRead} }

// Functions are those that give identifiers.
func (uniqueIDs) Functions() []string { return []string{fGenerate} }

// Functions are those of queues.
func (totalQueue) Functions() []string { return []string{fEnqueue, fDequeue} }

// Functions are those of queues.
func (fifo) Functions() []string { return []string{fEnqueue, fDequeue} }

// Functions are transactions.
func (appendInternal) Functions() []string { return []string{fTxn} }

// Functions are transactions.
func (transactional) Functions() []string { return []string{fTxn} }

// Functions are those of banks.
func (bank) Functions() []string { return []string{fTransfer, fRead} }

// Functions are transactions.
func (longFork) Functions() []string { return []string{fTxn} }

// Functions are those whose versions can be compared.
func (sessions) Functions() []string { return versionedFunctions }

// Functions are those whose versions can be compared.
func (durability) Functions() []string { return versionedFunctions }

// Functions are those whose versions can be compared.
func (pastStates) Functions() []string { return versionedFunctions }

// Functions are those of collections.
func (snapshots) Functions() []string { return collectionFunctions }

// Functions are those of collections.
func (watches) Functions() []string { return collectionFunctions }

// Functions are those of ranges of keys.
func (keyWatches) Functions() []string { return []string{fChange, fRange, fCompact, fWatch} }

// Functions are those of collections.
func (changes) Functions() []string { return collectionFunctions }

// Functions are candidacies.
func (leaders) Functions() []string { return []string{fLead} }

// Functions are those of declared objects.
func (declared) Functions() []string {
	return []string{fCreate, fScale, fRollout, fRollback, fDelete, fRead}
}

// Functions are those of objects that are given addresses.
func (unique) Functions() []string { return []string{fCreate, fRead, fDelete} }

// Functions are those of who owns a lock.
func (locks) Functions() []string { return []string{fLock, fLockedAdd} }

// Functions are those of sets under locks.
func (lockSet) Functions() []string { return []string{fLockedAdd, fRead} }

// Functions are those of leases, each with its key.
func (leases) Functions() []string { return []string{fGrant, fRenew, fRevoke, fGet} }

// Functions are those of candidates and observers.
func (elections) Functions() []string { return []string{fCampaign, fObserve} }

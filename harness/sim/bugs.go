package sim

import (
	"errors"
	"fmt"
	"time"
)

// Bug is a row of the table of bugs that can be planted.
type Bug struct {
	Name string
	Doc  string
	// Workloads are those that it shows in: register, set, append.
	Workloads []string
	flaw      flaw
}

// flaw is a Bug as the system knows it.
type flaw int

const (
	healthy flaw = iota
	staleRead
	lostWrite
	doubleApply
	casIgnoresGuard
	failedWriteSurfaces
	splitBrain
	elementLost
	ownAppendUnseen
	tornTransaction
)

// Bugs are the bugs that can be planted.
var Bugs = []Bug{
	{"stale-read", "some reads are served from the node's own copy, without asking the leader", []string{"register", "set"}, staleRead},
	{"lost-write", "a write is acknowledged and never done", []string{"register", "set"}, lostWrite},
	{"double-apply", "a write is done again, some time later", []string{"register", "set", "append"}, doubleApply},
	{"cas-ignores-guard", "a compare-and-set writes whatever it finds", []string{"register", "set"}, casIgnoresGuard},
	{"failed-write-surfaces", "a write is refused and done all the same, later", []string{"register", "set", "append"}, failedWriteSurfaces},
	{"split-brain", "both sides of a partition serve reads and writes; one side's writes are gone after it", []string{"register", "set", "append"}, splitBrain},
	{"element-lost", "an addition to a list drops one of its elements", []string{"set", "append"}, elementLost},
	{"own-append-unseen", "a transaction reads as if it had not appended", []string{"append"}, ownAppendUnseen},
	{"torn-transaction", "a transaction is done in two halves, others in between", []string{"append"}, tornTransaction},
}

// How often bugs strike: once in so many chances, and how late.
const (
	staleReadOnce   = 4
	lostWriteOnce   = 40
	doubleOnce      = 10
	surfacesOnce    = 20
	elementLostOnce = 30
	unseenOnce      = 8
	tornOnce        = 2

	tornGap      = 10 * time.Millisecond
	surfacesMax  = 200 * time.Millisecond
	doubleGapMin = 5 * time.Millisecond
	doubleGapMax = 300 * time.Millisecond
)

// ErrUnknownBug is a name that is not in the table.
var ErrUnknownBug = errors.New("no such bug")

func flawNamed(name string) (flaw, error) {
	if name == "" {
		return healthy, nil
	}
	for _, b := range Bugs {
		if b.Name == name {
			return b.flaw, nil
		}
	}
	return healthy, fmt.Errorf("%q: %w", name, ErrUnknownBug)
}

// Package nemesis breaks the system under test and mends it: a file per fault, and the table of them
// in faults.go. A fault is a package: what it can do to this system (decided before the run), a
// generator that schedules it, the actions, the proof that they took effect, and the cure.
package nemesis

import (
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/generator"
)

// Env is what faults can act on.
type Env struct {
	System harness.System
	Nodes  []harness.Node
	// Clients is the address that the clients' traffic comes from, as the nodes see it.
	Clients string
}

// Options are how often faults strike.
type Options struct {
	// Interval is from one fault's start to the next one's in the same family; each lasts half of it.
	Interval time.Duration
	// Overlap: families run independently and may be in force together. Otherwise one fault at a time: the
	// families take turns.
	Overlap bool
	Seed    uint64
}

// Package is one or several faults ready to run.
type Package struct {
	// Requested are the entries of --nemesis after expansion: "partition:leader", "kill".
	Requested []string
	// Generator yields start and stop operations for the nemesis worker, until the run's time is over. Nil: no faults.
	Generator generator.Generator
	// Nemesis performs them, and heal, await-healthy and members.
	Nemesis harness.Nemesis
}

// Fault is a row of the table of faults.
type Fault struct {
	Family string
	// Doc is one line for help texts and the README.
	Doc string
	// Words are what may stand behind "family:".
	Words []Word
	// Voids are the promises that the fault breaks by its nature, with why; faults that void none take part in "all".
	Voids []string
	// New checks that the system and the nodes can do it and prepares it. It has no effect on the nodes.
	New func(env Env, words []string, o Options) (action, error)
}

// Word is one that a family understands.
type Word struct {
	Name string
	// Kind is target, shape, link, component or way; at most one word of a kind may be given.
	Kind string
	Doc  string
}

// action is a fault as prepared for a run.
type action any

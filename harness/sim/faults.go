package sim

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// The families of faults of the simulator, and what their variants may be. One-way and clients are partitions' only.
const (
	FamilyPartition = "partition"
	FamilyKill      = "kill"
	FamilyPause     = "pause"

	TargetOne      = "one"
	TargetLeader   = "leader"
	TargetMinority = "minority"
	TargetMajority = "majority"
	TargetAll      = "all"
	TargetOneWay   = "one-way"
	TargetClients  = "clients"
)

// What of a target a fault acts on: a component that is killed or paused (the store's member if none is named), or a link that is cut
// (that between the nodes). Servers are there where the workload is of a system that has some.
const (
	ComponentStore  = "store"
	ComponentServer = "server"
	LinkPeer        = "peer"
	LinkClients     = "clients-server"
	LinkServerStore = "server-store"
)

// faults yields the start and the stop of one fault after the other.
type faults struct {
	interval time.Duration
	seed     uint64
	servers  bool
	begun    bool
	at       time.Duration // of the next operation
	n        int           // operations dispatched: starts are even
}

// Faults yields faults for the nemesis, without end: one each interval, which lasts half of it. The n-th fault depends
// on the seed and on what the system has alone. Give it to the nemesis with generator.NemesisOnly.
func (s *System) Faults(seed uint64, interval time.Duration) generator.Generator {
	return &faults{interval: interval, seed: seed, servers: s.plane != nil}
}

func (f *faults) Next(ctx *generator.Context) (history.Op, generator.Status, generator.Generator) {
	if !f.begun {
		begun := *f
		begun.begun, begun.at = true, ctx.Now+f.interval/2
		return history.Op{Time: ctx.Now}, generator.Pending, &begun
	}
	p, ok := ctx.Anyone()
	switch {
	case !ok:
		return history.Op{}, generator.Pending, f
	case ctx.Now < f.at:
		return history.Op{Time: f.at}, generator.Pending, f
	}
	fault := f.draw(f.n / 2)
	op := history.Op{
		Type: history.Invoke, Process: p, Time: ctx.Now,
		F: history.StartOf(fault.Family), Value: encode(fault),
	}
	if f.n%2 == 1 {
		op.F = history.StopOf(fault.Family)
	}
	next := *f
	next.n++
	next.at += f.interval / 2
	return op, generator.Ready, &next
}

func (f *faults) Update(*generator.Context, history.Op) generator.Generator { return f }

// draw is the n-th fault. The first ones are one of each family, and leave a majority at work but split it from the
// others: a run that is too short for many has seen reads during each family, and a partition between nodes, all the same. Where there
// are servers over the store, the next ones are theirs, and so on in turn.
func (f *faults) draw(n int) history.Fault {
	r := rand.New(rand.NewPCG(f.seed, uint64(n))) // reproducible chance is the point
	families := [...]string{FamilyPartition, FamilyKill, FamilyPause}
	targets := []string{TargetOne, TargetLeader, TargetLeader, TargetMinority}
	family := families[n%len(families)]
	switch {
	case n < len(families):
	case family == FamilyPartition:
		targets = append(targets, TargetMajority, TargetOneWay, TargetClients)
	default:
		targets = append(targets, TargetMajority, TargetAll)
	}
	variant := targets[r.IntN(len(targets))]
	if f.servers && n/len(families)%2 == 1 {
		variant = ofServers(family, variant)
	}
	return history.Fault{
		ID: family + "-" + strconv.Itoa(n/len(families)+1), Family: family, Requested: family,
		Variant: variant, Detail: json.RawMessage(`{"imagined":true}`),
	}
}

// ofServers makes a fault of the store one of the servers over it.
func ofServers(family, target string) string {
	switch {
	case family != FamilyPartition:
		return target + "+" + ComponentServer
	case target == TargetClients || target == TargetOneWay:
		return target
	}
	return target + "+" + LinkServerStore
}

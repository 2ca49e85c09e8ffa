package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/harness/control"
)

// The kinds of fault in the journal.
const (
	cutFault  = "cut"
	stopFault = "stop"
)

// fault is an entry of the journal: what is broken, or may be, and how to mend it. It is written before the fault
// acts and removed after it was undone.
type fault struct {
	Kind string `json:"kind"`
	// ID is the cut's, or the stopped process's name.
	ID string `json:"id"`
	// Rules are a cut's.
	Rules []control.CutRule `json:"rules,omitempty"`
	// Process is the one that was stopped.
	Process Identity `json:"process,omitzero"`
	// AtNS is when it was journaled, since boot.
	AtNS int64 `json:"at_ns"`
}

func (s state) faultPath(kind, id string) string {
	return s.path("faults", kind+"-"+fileName(id)+".json")
}

// journal writes an entry, renews the lease and makes sure that a watchdog runs. Call it with the lock held.
func (s state) journal(ctx context.Context, f fault, lease Lease) error {
	f.AtNS = int64(sinceBoot())
	if err := s.renewLease(lease); err != nil {
		return err
	}
	if err := WriteJSON(s.faultPath(f.Kind, f.ID), f); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return s.ensureWatchdog(ctx)
}

func (s state) forget(kind, id string) error {
	if err := removeFile(s.faultPath(kind, id)); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

func (s state) journaled() ([]fault, error) {
	names, err := namesIn(s.path("faults"))
	if err != nil {
		return nil, err
	}
	var faults []fault
	for _, name := range names {
		var f fault
		found, err := ReadJSON(s.path("faults", name+".json"), &f)
		if err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		if found {
			faults = append(faults, f)
		}
	}
	return faults, nil
}

// Healed is what was undone, in words.
type Healed struct {
	Undone []string `json:"undone"`
}

// heal undoes every fault on the node, and every cut even if the journal is lost.
func (s state) heal(ctx context.Context, _ None) (Healed, error) {
	var h Healed
	err := s.locked(ctx, func() error {
		var err error
		h.Undone, err = s.undoAll(ctx)
		return err
	})
	return h, err
}

// undoAll goes on after an error: what can be undone is. Call it with the lock held.
func (s state) undoAll(ctx context.Context) ([]string, error) {
	undone := []string{}
	faults, err := s.journaled()
	errs := []error{err}
	caught, err := removeTable(s.table)
	errs = append(errs, err)
	cutsGone := err == nil
	for _, f := range faults {
		switch f.Kind {
		case cutFault:
			if !cutsGone {
				continue
			}
			if counts, there := caught[f.ID]; there {
				undone = append(undone, describeCut(f.ID, counts))
				errs = append(errs, s.remember(f.ID, counts))
			}
			delete(caught, f.ID)
		case stopFault:
			if !f.Process.Alive() {
				break
			}
			if err := signalGroup(f.Process.PID, unix.SIGCONT); err != nil {
				errs = append(errs, err)
				continue
			}
			if err := awaitContinued(ctx, signalBound, f.Process); err != nil {
				errs = append(errs, err)
				continue
			}
			undone = append(undone, fmt.Sprintf("process %s continues", f.ID))
		}
		errs = append(errs, s.forget(f.Kind, f.ID))
	}
	for id, counts := range caught {
		undone = append(undone, describeCut(id, counts)+", which was not in the journal")
	}
	return undone, errors.Join(errs...)
}

func describeCut(id string, counts []control.CutCount) string {
	var packets uint64
	var links []string
	for _, c := range counts {
		packets += c.Packets
		switch {
		case c.To != "":
			links = append(links, "to "+c.To)
		case c.From != "":
			links = append(links, "from "+c.From)
		default:
			links = append(links, "from anyone")
		}
	}
	return fmt.Sprintf("cut %s %s removed, %d packets caught", id, strings.Join(links, ", "), packets)
}

// StatusAnswer tells what is broken on the node now and what the watchdog undid.
type StatusAnswer struct {
	// Faults are those in force: "cut ID", "stop NAME".
	Faults []string `json:"faults"`
	// LeaseLeft is how long the driver's lease lasts; negative: it has been over for that long. 0: there is none.
	LeaseLeft time.Duration `json:"lease_left_ns"`
	Owner     string        `json:"owner,omitempty"`
	Fired     []Fired       `json:"watchdog_fired"`
}

func (s state) status(_ context.Context, _ None) (StatusAnswer, error) {
	a := StatusAnswer{Faults: []string{}, Fired: []Fired{}}
	faults, err := s.journaled()
	if err != nil {
		return a, err
	}
	for _, f := range faults {
		a.Faults = append(a.Faults, f.Kind+" "+f.ID)
	}
	held, found, err := s.lease()
	if err != nil {
		return a, err
	}
	if found {
		a.LeaseLeft, a.Owner = held.left(), held.Owner
	}
	_, err = ReadJSON(s.path("fired.json"), &a.Fired)
	return a, err
}

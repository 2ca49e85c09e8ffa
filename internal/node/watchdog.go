package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// DefaultLease is how long faults last without a sign of life from the driver.
	DefaultLease = 30 * time.Second
	// watchEvery is how often the watchdog looks at the lease.
	watchEvery = 250 * time.Millisecond
)

// Lease is the driver's sign of life.
type Lease struct {
	// Owner is the driver that gives it, as told in what the watchdog undid.
	Owner string `json:"owner"`
	// TTL is how long it lasts; 0: DefaultLease.
	TTL time.Duration `json:"ttl_ns"`
}

// heldLease is a Lease as the node keeps it, on the clock that no fault moves.
type heldLease struct {
	Lease
	UntilNS int64 `json:"until_ns"`
}

func (l heldLease) left() time.Duration { return time.Duration(l.UntilNS) - sinceBoot() }

// Fired is one occasion on which the watchdog undid faults because their lease was over.
type Fired struct {
	Owner  string   `json:"owner"`
	AtNS   int64    `json:"at_ns"` // since boot
	Undone []string `json:"undone"`
}

func (s state) lease() (heldLease, bool, error) {
	var l heldLease
	found, err := ReadJSON(s.path("lease.json"), &l)
	return l, found, err
}

func (s state) renewLease(l Lease) error {
	if l.TTL <= 0 {
		l.TTL = DefaultLease
	}
	if err := WriteJSON(s.path("lease.json"), heldLease{l, int64(sinceBoot() + l.TTL)}); err != nil {
		return fmt.Errorf("renew the lease: %w", err)
	}
	return nil
}

// renew prolongs the lease of the faults in force.
func (s state) renew(ctx context.Context, l Lease) (StatusAnswer, error) {
	err := s.locked(ctx, func() error {
		if err := s.renewLease(l); err != nil {
			return err
		}
		faults, err := s.journaled()
		if err != nil || len(faults) == 0 {
			return err
		}
		return s.ensureWatchdog(ctx)
	})
	if err != nil {
		return StatusAnswer{}, err
	}
	return s.status(ctx, None{})
}

// ensureWatchdog starts a watchdog if none runs. Call it with the lock held: a watchdog decides to end only with it.
func (s state) ensureWatchdog(ctx context.Context) error {
	life, err := Lock(ctx, s.path("watchdog.lock"), 0)
	if errors.Is(err, ErrHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	life.Close()
	if err := s.spawn(ctx, s.path("watchdog.log"), "watchdog"); err != nil {
		return fmt.Errorf("no fault without a watchdog: %w", err)
	}
	return nil
}

// runWatchdog waits until the lease is over, undoes all faults that are then in force, and ends.
func runWatchdog(ctx context.Context, c call) error {
	ready := openReadiness()
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE)
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, unix.SIGTERM)
	defer stop()
	life, err := Lock(ctx, c.state.path("watchdog.lock"), 0)
	ready.tell(err)
	if err != nil {
		return err
	}
	defer life.Close()
	for done := false; !done; {
		if !pause(ctx, watchEvery, nil) {
			return ctx.Err()
		}
		if done, err = c.state.watch(ctx, life); err != nil {
			fmt.Fprintln(c.stderr, "watchdog:", err) // and try again: the faults are still there
		}
	}
	return nil
}

// watch looks once. Done, it gives up its life lock before any other verb can look whether a watchdog runs.
func (s state) watch(ctx context.Context, life *os.File) (done bool, err error) {
	l, found, err := s.lease()
	if err != nil || (found && l.left() > 0) {
		return false, err
	}
	err = s.locked(ctx, func() error {
		l, found, err := s.lease() // the driver may have come back while this waited for the lock
		if err != nil || (found && l.left() > 0) {
			return err
		}
		undone, err := s.undoAll(ctx)
		if len(undone) > 0 {
			err = errors.Join(err, s.recordFired(Fired{l.Owner, int64(sinceBoot()), undone}))
		}
		if err != nil {
			return err
		}
		done = true
		return life.Close()
	})
	return done, err
}

func (s state) recordFired(f Fired) error {
	var all []Fired
	if _, err := ReadJSON(s.path("fired.json"), &all); err != nil {
		return err
	}
	return WriteJSON(s.path("fired.json"), append(all, f))
}

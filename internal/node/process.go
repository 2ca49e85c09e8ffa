package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/harness/control"
)

// endBound bounds how long a supervisor may take to end after its process did.
const endBound = 10 * time.Second

// record is what the node remembers of a process that was started.
type record struct {
	control.Process
	Identity
	Supervisor Identity `json:"supervisor"`
	// Wanted: the supervisor is to start it again when it exits by itself.
	Wanted bool `json:"wanted"`
	// Exit says how the latest one ended; empty while it runs.
	Exit     string `json:"exit,omitempty"`
	Restarts int    `json:"restarts"`
	// Used is the processor time of the latest one, once it has ended.
	Used time.Duration `json:"used_ns,omitempty"`
}

var processName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (s state) recordPath(name string) string { return s.path("processes", name+".json") }

func (s state) record(name string) (record, bool, error) {
	var r record
	found, err := ReadJSON(s.recordPath(name), &r)
	return r, found, err
}

func (s state) save(r record) error { return WriteJSON(s.recordPath(r.Name), r) }

// state asks the kernel how the process is.
func (r record) state() control.ProcessState {
	st := control.ProcessState{
		Name: r.Name, PID: r.PID, StartTicks: r.StartTicks, Status: "exited", Exit: r.Exit, Restarts: r.Restarts,
	}
	now, err := readStat(r.PID)
	if err == nil && now.startTicks == r.StartTicks && !now.dead() {
		st.Status, st.Exit = "running", ""
		if now.stopped() {
			st.Status = "stopped"
		}
		st.CPU, st.RSSBytes = now.cpu, now.rssBytes
		return st
	}
	st.CPU = r.Used
	st.Restarting = r.Wanted && r.Restart > 0 && r.Supervisor.Alive()
	if st.Exit == "" {
		st.Exit = "unknown: its supervisor is gone"
	}
	return st
}

// processes tells the state of everything that was started, by name.
func (s state) processes(_ context.Context, _ None) ([]control.ProcessState, error) {
	names, err := namesIn(s.path("processes"))
	if err != nil {
		return nil, err
	}
	states := []control.ProcessState{}
	for _, name := range names {
		r, found, err := s.record(name)
		if err != nil {
			return nil, err
		}
		if found {
			states = append(states, r.state())
		}
	}
	return states, nil
}

// start hands a process to a new supervisor and returns when the process runs.
func (s state) start(ctx context.Context, p control.Process) (control.ProcessState, error) {
	var none control.ProcessState
	switch {
	case !processName.MatchString(p.Name):
		return none, fmt.Errorf("process name %q: only letters, digits, '.', '_' and '-'", p.Name)
	case len(p.Args) == 0:
		return none, fmt.Errorf("process %s: no arguments", p.Name)
	case !filepath.IsAbs(p.Log):
		return none, fmt.Errorf("process %s: log %q is no absolute path", p.Name, p.Log)
	}
	if err := s.retire(ctx, p.Name); err != nil {
		return none, err
	}
	err := s.locked(ctx, func() error { return s.save(record{Process: p, Wanted: true}) })
	if err != nil {
		return none, err
	}
	if err := s.spawn(ctx, s.path("processes", p.Name+".log"), "supervise", p.Name); err != nil {
		return none, fmt.Errorf("process %s: %w", p.Name, err)
	}
	r, found, err := s.record(p.Name)
	if err == nil && !found {
		err = errors.New("its record is gone")
	}
	return r.state(), err
}

// retire makes sure that the name is free: it refuses if the process runs, and ends a supervisor that waits to
// start it again.
func (s state) retire(ctx context.Context, name string) error {
	var supervisor Identity
	err := s.locked(ctx, func() error {
		r, found, err := s.record(name)
		if err != nil || !found {
			return err
		}
		if r.Alive() {
			return fmt.Errorf("process %s is running already, with id %d: kill it first", name, r.PID)
		}
		supervisor = r.Supervisor
		return s.unwant(r)
	})
	if err != nil {
		return err
	}
	return awaitSupervisor(ctx, name, supervisor)
}

// unwant tells the supervisor not to start the process again. Call it with the lock held.
func (s state) unwant(r record) error {
	r.Wanted = false
	if err := s.save(r); err != nil {
		return err
	}
	if r.Supervisor.Alive() {
		// It may be waiting to start the process again: this wakes it up.
		if err := unix.Kill(r.Supervisor.PID, unix.SIGHUP); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("wake the supervisor of %s: %w", r.Name, err)
		}
	}
	return nil
}

func awaitSupervisor(ctx context.Context, name string, id Identity) error {
	return await(ctx, endBound, fmt.Sprintf("end of the supervisor %d of %s", id.PID, name), func() (bool, error) {
		return !id.Alive(), nil
	})
}

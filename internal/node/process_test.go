package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline/faultline/harness/control"
)

func mustStart(t *testing.T, ctx context.Context, s state, p control.Process) control.ProcessState {
	t.Helper()
	if p.Log == "" {
		p.Log = s.path("test.log")
	}
	st, err := s.start(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func signalTo(ctx context.Context, s state, name string, sig control.Signal) (control.ProcessState, error) {
	return s.signal(ctx, SignalRequest{Name: name, Signal: sig})
}

// TestLifeOfAProcess reads as a transcript: one step a line, and the state after it.
func TestLifeOfAProcess(t *testing.T) {
	ctx, s := newState(t)
	sleeper := control.Process{Name: "sleeper", Args: []string{"sleep", "1000"}}
	step := map[string]func() (control.ProcessState, error){
		"start": func() (control.ProcessState, error) {
			sleeper.Log = s.path("test.log")
			return s.start(ctx, sleeper)
		},
	}
	for _, sig := range []control.Signal{control.SIGSTOP, control.SIGCONT, control.SIGTERM, control.SIGKILL} {
		step[string(sig)] = func() (control.ProcessState, error) { return signalTo(ctx, s, "sleeper", sig) }
	}
	step["heal"] = func() (control.ProcessState, error) {
		if _, err := s.heal(ctx, None{}); err != nil {
			return control.ProcessState{}, err
		}
		all, err := s.processes(ctx, None{})
		return all[0], err
	}
	if os.Geteuid() != 0 {
		delete(step, "heal") // looking for cuts takes root
	}
	const transcript = `
KILL:  no process "sleeper" was started on this node
start: running
start: running already
STOP:  stopped
STOP:  stopped
CONT:  running
CONT:  running
STOP:  stopped
heal:  running
heal:  running
STOP:  stopped
KILL:  exited, signal killed
KILL:  exited, signal killed
CONT:  exited, signal killed
STOP:  it does not run: signal killed
start: running
STOP:  stopped
TERM:  exited, signal terminated
heal:  exited, signal terminated
`
	for i, line := range strings.Split(strings.TrimSpace(transcript), "\n") {
		name, want, _ := strings.Cut(line, ":")
		do, ok := step[name]
		if !ok {
			continue
		}
		st, err := do()
		got := st.Status
		if st.Exit != "" {
			got += ", " + st.Exit
		}
		if err != nil {
			got = err.Error()
		}
		if want = strings.TrimSpace(want); got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("line %d, %s: %s", i+1, line, got)
		}
	}
}

func TestStartRefuses(t *testing.T) {
	ctx, s := newState(t)
	log := s.path("test.log")
	for _, test := range []struct {
		p    control.Process
		want string
	}{
		{control.Process{Name: "../x", Args: []string{"true"}, Log: log}, "process name"},
		{control.Process{Name: "x", Log: log}, "no arguments"},
		{control.Process{Name: "x", Args: []string{"true"}, Log: "relative"}, "no absolute path"},
		{control.Process{Name: "x", Args: []string{"/nonexistent"}, Log: log}, "/nonexistent: no such file"},
		{control.Process{Name: "x", Args: []string{"true"}, Log: log, Dir: "/nonexistent"}, "no such file"},
		{control.Process{Name: "x", Args: []string{"true"}, Log: "/dev/null/x"}, "the log"},
	} {
		_, err := s.start(ctx, test.p)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v; not %q", test.p, err, test.want)
		}
	}
}

// TestOwnExit: what exits by itself is told apart from what was killed, and started again only if so asked.
func TestOwnExit(t *testing.T) {
	ctx, s := newState(t)
	mustStart(t, ctx, s, control.Process{Name: "once", Args: []string{"sh", "-c", "echo one $A; exit 3"}, Env: []string{"A=b"}})
	err := await(ctx, 10*time.Second, "its end", func() (bool, error) {
		r, _, err := s.record("once")
		return r.state().Exit == "exit 3", err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Its name is free again, and its log goes on.
	mustStart(t, ctx, s, control.Process{Name: "once", Args: []string{"sh", "-c", "echo two; exec sleep 1000"}})
	err = await(ctx, 10*time.Second, "its log", func() (bool, error) {
		text, err := os.ReadFile(s.path("test.log"))
		return string(text) == "one b\ntwo\n", err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestKillEndsTheWaitForARestart: a process that is down, and would come back in an hour, can be killed for good, and started.
func TestKillEndsTheWaitForARestart(t *testing.T) {
	ctx, s := newState(t)
	p := control.Process{Name: "flaky", Args: []string{"false"}, Restart: time.Hour}
	for _, next := range []string{"kill", "start"} {
		mustStart(t, ctx, s, p)
		err := await(ctx, 10*time.Second, "its end", func() (bool, error) {
			r, _, err := s.record("flaky")
			return r.Exit == "exit 1", err
		})
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := s.record("flaky")
		if err != nil || !r.Supervisor.Alive() {
			t.Fatalf("nobody waits to start it again: %+v, %v", r, err)
		}
		if next == "kill" {
			if _, err := signalTo(ctx, s, "flaky", control.SIGKILL); err != nil {
				t.Error(err)
			}
		} else {
			mustStart(t, ctx, s, control.Process{Name: "flaky", Args: []string{"sleep", "1000"}})
		}
		if r.Supervisor.Alive() {
			t.Errorf("%s: the supervisor still waits", next)
		}
	}
}

// TestSupervisorDies: the process goes on, is still found, and can still be killed.
func TestSupervisorDies(t *testing.T) {
	ctx, s := newState(t)
	st := mustStart(t, ctx, s, control.Process{Name: "sleeper", Args: []string{"sleep", "1000"}})
	r, _, err := s.record("sleeper")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(r.Supervisor.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := awaitSupervisor(ctx, "sleeper", r.Supervisor); err != nil {
		t.Fatal(err)
	}
	if now := r.state(); now.Status != "running" || now.PID != st.PID {
		t.Errorf("%+v", now)
	}
	if st, err := signalTo(ctx, s, "sleeper", control.SIGKILL); err != nil || st.Status != "exited" {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestSignalNeverHitsASuccessor: a record whose process id belongs to another process now is of a dead one.
func TestSignalNeverHitsASuccessor(t *testing.T) {
	ctx, s := newState(t)
	victim := mustStart(t, ctx, s, control.Process{Name: "victim", Args: []string{"sleep", "1000"}})
	err := s.locked(ctx, func() error {
		return s.save(record{Process: control.Process{Name: "old"}, Identity: Identity{PID: victim.PID, StartTicks: victim.StartTicks - 1}})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []control.Signal{control.SIGKILL, control.SIGTERM, control.SIGSTOP} {
		_, _ = signalTo(ctx, s, "old", sig)
		if st, err := signalTo(ctx, s, "victim", control.SIGCONT); err != nil || st.Status != "running" {
			t.Fatalf("SIG%s to a dead process hit another: %+v, %v", sig, st, err)
		}
	}
}

func TestAllThreadsAreStopped(t *testing.T) {
	// A Go program has several threads. This one waits for the end of a lease of another state directory.
	_, other := newState(t)
	ctx, s := newState(t) // its process is ended first
	err := other.locked(ctx, func() error { return other.renewLease(Lease{TTL: time.Hour}) })
	if err != nil {
		t.Fatal(err)
	}
	busy := mustStart(t, ctx, s, control.Process{Name: "busy", Args: []string{os.Args[0], "node", "--state", other.dir, "watchdog"}})
	var tasks []string
	err = await(ctx, 10*time.Second, "its threads", func() (bool, error) {
		tasks, err = filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", busy.PID))
		return len(tasks) > 1, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signalTo(ctx, s, "busy", control.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if st, err := readStatFile(task); err != nil || !st.stopped() {
			t.Errorf("%s: %c, %v", task, st.state, err)
		}
	}
}

// TestProcessorTimeOutlivesTheProcess: what a killed process used is still told, or the harness's share of it all would
// look larger the more is killed.
func TestProcessorTimeOutlivesTheProcess(t *testing.T) {
	ctx, s := newState(t)
	st := mustStart(t, ctx, s, control.Process{Name: "busy", Args: []string{"sh", "-c", "while :; do :; done"}})
	err := await(ctx, 10*time.Second, "some processor time", func() (bool, error) {
		states, err := s.processes(ctx, None{})
		if err == nil && len(states) == 1 {
			st = states[0]
		}
		return st.CPU >= 50*time.Millisecond, err
	})
	if err != nil {
		t.Fatal(err)
	}
	end, err := signalTo(ctx, s, "busy", control.SIGKILL)
	if err != nil || end.Status != "exited" || end.CPU < st.CPU {
		t.Errorf("it had used %v while it ran; after its end: %+v, %v", st.CPU, end, err)
	}
}

// supervised waits until the record of a process is as it should be.
func supervised(t *testing.T, ctx context.Context, s state, name, what string, is func(control.ProcessState) bool) control.ProcessState {
	t.Helper()
	var st control.ProcessState
	err := await(ctx, 10*time.Second, what, func() (bool, error) {
		r, _, err := s.record(name)
		st = r.state()
		return is(st), err
	})
	if err != nil {
		t.Fatalf("%v; it is %+v", err, st)
	}
	return st
}

// TestRestartsAreCountedAndKillsAreFinal: what ends by itself is started again and counted, also when somebody else killed it; what
// was killed through the supervisor stays dead until it is started, and its count begins anew.
func TestRestartsAreCountedAndKillsAreFinal(t *testing.T) {
	ctx, s := newState(t)
	p := control.Process{Name: "worker", Args: []string{"sleep", "1000"}, Restart: 20 * time.Millisecond}
	st := mustStart(t, ctx, s, p)
	for i := range 3 {
		if err := unix.Kill(st.PID, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		before := st
		st = supervised(t, ctx, s, "worker", "a restart", func(now control.ProcessState) bool {
			return now.Status == "running" && now.PID != before.PID
		})
		if st.Restarts != i+1 || st.Restarting {
			t.Errorf("after end %d: %+v", i+1, st)
		}
	}
	dead, err := signalTo(ctx, s, "worker", control.SIGKILL)
	if err != nil || dead.Status != "exited" || dead.Restarting {
		t.Fatalf("killed: %+v, %v", dead, err)
	}
	// No supervisor is left that could start it.
	if r, _, err := s.record("worker"); err != nil || r.Supervisor.Alive() || r.Wanted {
		t.Errorf("%+v, %v", r, err)
	}
	if st := mustStart(t, ctx, s, p); st.Status != "running" || st.Restarts != 0 {
		t.Errorf("started again: %+v", st)
	}
}

// TestWaitForARestartIsTold: between its end and its next start a process is neither running nor dead.
func TestWaitForARestartIsTold(t *testing.T) {
	ctx, s := newState(t)
	mustStart(t, ctx, s, control.Process{Name: "flaky", Args: []string{"false"}, Restart: time.Hour})
	st := supervised(t, ctx, s, "flaky", "its end", func(now control.ProcessState) bool { return now.Exit == "exit 1" })
	if !st.Restarting || st.Status != "exited" {
		t.Errorf("%+v", st)
	}
	if _, err := signalTo(ctx, s, "flaky", control.SIGSTOP); err == nil {
		t.Error("a process that does not run was stopped")
	}
	if st, err := signalTo(ctx, s, "flaky", control.SIGKILL); err != nil || st.Restarting {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestPausedStaysPaused: the supervisor does not take a stopped process for one that has ended.
func TestPausedStaysPaused(t *testing.T) {
	ctx, s := newState(t)
	// What it writes shows whether it goes on.
	ticking := filepath.Join(t.TempDir(), "ticks")
	p := control.Process{
		Name: "ticker", Args: []string{"sh", "-c", "while :; do echo x >> " + ticking + "; sleep 0.01; done"}, Restart: 10 * time.Millisecond,
	}
	st := mustStart(t, ctx, s, p)
	size := func() int64 {
		info, err := os.Stat(ticking)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	if err := await(ctx, 10*time.Second, "a tick", func() (bool, error) { return size() > 0, nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := signalTo(ctx, s, "ticker", control.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := size()
	pause(ctx, 300*time.Millisecond, nil) // thirty times the restart's pause
	r, _, err := s.record("ticker")
	if now := r.state(); err != nil || now.Status != "stopped" || now.PID != st.PID || now.Restarts != 0 || size() != stopped {
		t.Errorf("paused: %+v, %v, %d bytes and then %d", now, err, stopped, size())
	}
	if now, err := signalTo(ctx, s, "ticker", control.SIGCONT); err != nil || now.PID != st.PID || now.Status != "running" {
		t.Errorf("continued: %+v, %v", now, err)
	}
}

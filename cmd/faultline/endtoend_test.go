package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/cluster"
	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/results"
)

// These tests run the real thing: etcd on embedded nodes, broken by real faults.

// faultline starts the command in a process of its own.
func faultline(t *testing.T, args ...string) (cmd *exec.Cmd, output *bytes.Buffer) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	output = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = output, output
	return cmd, output
}

func runFaultline(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	cmd, out := faultline(t, args...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// latest is the last run below a folder, and its results.
func latest(t *testing.T, out string) (results.Dir, results.Results) {
	t.Helper()
	dir, err := results.Open(filepath.Join(out, "latest"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := dir.LoadResults()
	if err != nil {
		t.Fatal(err)
	}
	return dir, r
}

// tookEffect are the families of faults of which at least one was proved.
func tookEffect(r results.Results) map[string]bool {
	took := map[string]bool{}
	for _, f := range r.Faults {
		family, _, _ := strings.Cut(f.ID, "-")
		took[family] = took[family] || f.Proved && f.Proof != ""
	}
	return took
}

func TestARunOnRealNodesIsValid(t *testing.T) {
	out := t.TempDir()
	code, output := runFaultline(t, "test", "etcd/register", "--out", out, "--seed", "7", "--time-limit", "24s",
		"--nemesis", "partition:leader,kill:one,pause:one", "--nemesis-interval", "6s", "--overlap=false", "--rate", "200")
	if code != exitValid {
		t.Fatalf("exit %d\n%s", code, output)
	}
	dir, r := latest(t, out)
	for _, family := range []string{"partition", "kill", "pause"} {
		if !tookEffect(r)[family] {
			t.Errorf("no %s took effect\n%s", family, output)
		}
	}
	if wrong, err := dir.VerifyChecksums(); err != nil || len(wrong) > 0 {
		t.Errorf("checksums: %v %v", wrong, err)
	}
	again, checked := runFaultline(t, "check", dir.Path)
	if again != code {
		t.Errorf("check exits with %d, the run with %d\n%s", again, code, checked)
	}
	noLeftovers(t)
}

func TestStaleReadsAreFoundWhereTheyAreForbidden(t *testing.T) {
	out := t.TempDir()
	code, output := runFaultline(t, "test", "etcd/register", "--out", out, "--seed", "3", "--time-limit", "12s",
		"--read", "serializable", "--model", "linearizable", "--nemesis", "partition:leader", "--nemesis-interval", "8s")
	if code != exitInvalid || !strings.Contains(output, "stale-read: ") {
		t.Fatalf("exit %d, want %d and a stale read explained\n%s", code, exitInvalid, output)
	}
	// The same history, held to what such reads promise.
	code, output = runFaultline(t, "check", filepath.Join(out, "latest"), "--checker", "linearizable", "--model", "serializable")
	if code != exitValid || !strings.Contains(output, "(allowed") {
		t.Fatalf("exit %d, want %d with stale reads allowed\n%s", code, exitValid, output)
	}
}

func TestAKilledDriverLeavesNothingForLongAndItsHistoryIsJudged(t *testing.T) {
	out := t.TempDir()
	cmd, output := startUntilFault(t, out)
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if left := leftovers(t); len(left) == 0 {
		t.Fatalf("nothing is left behind: this test shows nothing\n%s", output)
	}
	code, healed := runFaultline(t, "heal")
	if code != exitValid || !strings.Contains(healed, "removed ") {
		t.Fatalf("heal exits with %d\n%s", code, healed)
	}
	noLeftovers(t)
	code, checked := runFaultline(t, "check", filepath.Join(out, "latest"))
	if code != exitUnknown || !strings.Contains(checked, "recovered prefix") {
		t.Fatalf("check exits with %d, want %d and a recovered prefix\n%s", code, exitUnknown, checked)
	}
	verdictOf(t, filepath.Join(out, "latest"), "linearizable", checker.Valid)
}

func TestAnInterruptedRunIsHealedAndJudged(t *testing.T) {
	out := t.TempDir()
	cmd, output := startUntilFault(t, out)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitUnknown {
		t.Fatalf("exit %d, want %d\n%s", code, exitUnknown, output)
	}
	verdictOf(t, filepath.Join(out, "latest"), "linearizable", checker.Valid)
	noLeftovers(t)
}

// startUntilFault starts a run and returns once a partition is in force.
func startUntilFault(t *testing.T, out string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd, output := faultline(t, "test", "etcd/register", "--out", out, "--seed", "5", "--time-limit", "10m",
		"--nemesis", "partition:leader", "--nemesis-interval", "20s", "--rate", "200")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for path := filepath.Join(out, "latest", results.HistoryFile); !partitioned(path); {
		select {
		case <-ctx.Done():
			t.Fatalf("no partition began\n%s", output)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return cmd, output
}

// partitioned tells whether a history that is being written has a partition in force by now.
func partitioned(path string) bool {
	file, err := history.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	windows, err := history.Windows(file)
	return err == nil && len(windows) > 0 && windows[len(windows)-1].Proved
}

func verdictOf(t *testing.T, path, name string, want checker.Verdict) {
	t.Helper()
	dir, err := results.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := dir.LoadResults()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Checkers {
		if c.Checker == name {
			if c.Verdict != want {
				t.Errorf("%s is %s, want %s: %v", name, c.Verdict, want, c.Reasons)
			}
			return
		}
	}
	t.Errorf("there is no verdict of %s", name)
}

// leftovers are the clusters of this test's drivers that are still there, with the processes of their nodes.
func leftovers(t *testing.T) []cluster.Info {
	t.Helper()
	code, output := runFaultline(t, "cluster", "status", "--json")
	if code != exitValid {
		t.Fatalf("cluster status exits with %d\n%s", code, output)
	}
	var known, left []cluster.Info
	if err := json.Unmarshal([]byte(output), &known); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, k := range known {
		if k.Leftover() || k.OwnerAlive && isChild(k.Owner.PID) {
			left = append(left, k)
		}
	}
	return left
}

func isChild(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid())
}

func noLeftovers(t *testing.T) {
	t.Helper()
	if left := leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %+v", left)
	}
}

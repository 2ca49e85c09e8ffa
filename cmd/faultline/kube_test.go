package main

import (
	"strings"
	"testing"

	"github.com/faultline/faultline/checker"
)

// These tests run a real control plane of Kubernetes on embedded nodes, from the programs in the cache.

func TestAKubernetesRunIsValid(t *testing.T) {
	out := t.TempDir()
	code, output := runFaultline(t, "test", "kube/deployment", "--out", out, "--seed", "5", "--time-limit", "24s",
		"--nemesis", "kill:leader+kube-controller-manager,partition:one+kubelet-apiserver", "--nemesis-interval", "8s", "--overlap=false", "--rate", "8")
	if code != exitValid {
		t.Fatalf("exit %d\n%s", code, output)
	}
	_, r := latest(t, out)
	if took := tookEffect(r); !took["kill"] || !took["partition"] {
		t.Errorf("not every fault took effect\n%s", output)
	}
	converged := false
	for _, c := range r.Checkers {
		converged = converged || c.Checker == "convergence" && c.Verdict == checker.Valid &&
			strings.Contains(c.Summary, "per fault: ") && strings.Contains(c.Summary, "kill")
	}
	if !converged {
		t.Errorf("no time to converge was told for the kills\n%s", output)
	}
	noLeftovers(t)
}

// TestCachedReadsAreStaleWhereAsked: an API server that is cut off from its store serves old state, which is what cached reads promise, and
// is found when they are held to more.
func TestCachedReadsAreStaleWhereAsked(t *testing.T) {
	for model, want := range map[string]int{"": exitValid, "linearizable": exitInvalid} {
		t.Run("model="+model, func(t *testing.T) {
			args := []string{
				"test", "kube/register", "--out", t.TempDir(), "--seed", "3", "--time-limit", "20s",
				"--read", "cached", "--nemesis", "stale-apiserver", "--nemesis-interval", "10s",
			}
			if model != "" {
				args = append(args, "--model", model)
			}
			code, output := runFaultline(t, args...)
			if code != want {
				t.Fatalf("exit %d, want %d\n%s", code, want, output)
			}
			if want == exitInvalid && !strings.Contains(output, "stale-read: ") {
				t.Errorf("no stale read is explained\n%s", output)
			}
		})
	}
}

// TestWhatDoesNotConvergeIsTold: for each way of not converging a control plane that does just that.
func TestWhatDoesNotConvergeIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"stalled": {[]string{"--without", "kube-controller-manager", "--converge-within", "20s"}, []string{"stalled: ", "Deployment ", "kube-controller-manager"}},
		// What goes back and forth has to be seen to do so for a while.
		"oscillating": {[]string{"--plant", "quarrel", "--converge-within", "45s"}, []string{"oscillating: ", "Deployment "}},
		"orphaned":    {[]string{"--plant", "finalizer", "--converge-within", "20s"}, []string{"orphaned: ", "finalizer"}},
	} {
		t.Run(name, func(t *testing.T) {
			workload := "kube/deployment"
			if name == "orphaned" {
				workload = "kube/gc"
			}
			args := append([]string{"test", workload, "--out", t.TempDir(), "--seed", "4", "--time-limit", "10s"}, c.args...)
			code, output := runFaultline(t, args...)
			if code != exitInvalid {
				t.Fatalf("exit %d, want %d\n%s", code, exitInvalid, output)
			}
			for _, word := range c.says {
				if !strings.Contains(output, word) {
					t.Errorf("nothing says %q\n%s", word, output)
				}
			}
		})
	}
}

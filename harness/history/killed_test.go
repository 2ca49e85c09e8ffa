package history

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The driver dies by SIGKILL while it writes: what it had flushed is a valid prefix, and said to be one.
func TestAKilledWriterLeavesAPrefix(t *testing.T) {
	const victim = "FAULTLINE_TEST_WRITES_UNTIL_KILLED"
	if path := os.Getenv(victim); path != "" {
		writeForEver(t, path)
	}
	path := filepath.Join(t.TempDir(), "h")
	cmd := exec.Command(os.Args[0], "-test.run=^TestAKilledWriterLeavesAPrefix$")
	cmd.Env = append(os.Environ(), victim+"="+path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for enough := int64(len(header)) + 100_000; ; {
		if info, err := os.Stat(path); err == nil && info.Size() > enough {
			break
		}
		if time.Now().After(deadline) {
			t.Error("the victim wrote nothing")
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the victim ended by itself")
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Validate(f); err != nil {
		t.Error(err)
	}
	if f.Complete() || f.count == 0 || f.Recovered() == "" {
		t.Errorf("complete %v, %d operations, note %q", f.Complete(), f.count, f.Recovered())
	}
}

func writeForEver(t *testing.T, path string) {
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		op := event(i)
		if err := w.Append(&op); err != nil {
			t.Fatal(err)
		}
	}
}

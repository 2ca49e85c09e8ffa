package fake_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/control/fake"
)

func TestScriptedReplies(t *testing.T) {
	host := fake.New("n1").
		On([]string{"etcdctl"}, fake.Reply{Stdout: "any\n"}).
		On([]string{"etcdctl", "get"}, fake.Reply{Stdout: "first\n"}, fake.Reply{Code: 1, Stderr: "gone\n"}).
		On([]string{"cat"}, fake.Reply{Block: true})

	var transcript strings.Builder
	for _, args := range [][]string{{"etcdctl", "get", "k"}, {"etcdctl", "get", "k"}, {"etcdctl", "get", "k"}, {"etcdctl", "put", "k", "v w"}, {"reboot"}} {
		out, err := host.Run(t.Context(), control.Cmd{Args: args})
		transcript.Write(out.Stdout)
		if err != nil {
			transcript.WriteString(err.Error() + "\n")
		}
	}
	want := `first
n1: etcdctl get k: exit 1: gone
n1: etcdctl get k: exit 1: gone
any
n1: reboot: exit 127: fake host n1 has no rule for: reboot
`
	if transcript.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &transcript, want)
	}
	if got, want := host.Transcript(), "etcdctl get k\netcdctl get k\netcdctl get k\netcdctl put k 'v w'\nreboot\n"; got != want {
		t.Errorf("calls:\n%s", got)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := host.Run(ctx, control.Cmd{Args: []string{"cat"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled command gave %v", err)
	}
}

func TestFilesAndClose(t *testing.T) {
	host := fake.New("n1")
	if err := host.Upload(t.Context(), strings.NewReader("x"), "/etc/f", 0o600); err != nil {
		t.Fatal(err)
	}
	var back bytes.Buffer
	if err := host.Download(t.Context(), "/etc/f", &back); err != nil || back.String() != "x" {
		t.Errorf("downloaded %q, %v", back.String(), err)
	}
	if err := host.Download(t.Context(), "/etc/g", &back); err == nil {
		t.Error("a file that was never uploaded was found")
	}
	host.Close()
	if _, err := host.Run(t.Context(), control.Cmd{Args: []string{"true"}}); !errors.Is(err, control.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

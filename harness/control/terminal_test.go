package control_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/control/fake"
)

func TestShellOnATerminal(t *testing.T) {
	host := connect(t, startSSHD(t, "").config())
	sizes := make(chan control.TerminalSize, 1)
	sizes <- control.TerminalSize{Columns: 99, Rows: 33}
	screen := &lockedBuffer{} // it is both outputs
	err := control.Shell(t.Context(), host, []string{"sh", "-c", `tty; stty size; echo "$TERM"; until [ "$(stty size)" = "33 99" ]; do :; done; exit 4`},
		control.Terminal{Stdout: screen, Stderr: screen, Kind: "vt100", Size: control.TerminalSize{Columns: 81, Rows: 24}, Resized: sizes, Stdin: blockingReader{t.Context()}})
	var exit *control.ExitError
	if !errors.As(err, &exit) || exit.Code != 4 {
		t.Errorf("error: %v", err)
	}
	if got := strings.ReplaceAll(screen.String(), "\r", ""); !strings.HasPrefix(got, "/dev/pts/") || !strings.HasSuffix(got, "vt100\n") {
		t.Errorf("screen: %q", got)
	}
}

func TestLoginShellWithoutATerminal(t *testing.T) {
	host := connect(t, startSSHD(t, "").config())
	var out bytes.Buffer
	if err := control.Shell(t.Context(), host, nil, control.Terminal{Stdin: strings.NewReader("echo $((6*7))\nexit 0\n"), Stdout: &out}); err != nil || out.String() != "42\n" {
		t.Errorf("%q, %v", &out, err)
	}
	if err := control.Shell(t.Context(), fake.New("n2"), nil, control.Terminal{}); err == nil || !strings.Contains(err.Error(), "n2: this host offers no terminal") {
		t.Errorf("a host without: %v", err)
	}
}

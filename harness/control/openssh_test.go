package control_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/control"
)

func TestOpenSSHRunsUploadsDownloads(t *testing.T) {
	server := startSSHD(t, "")
	host := connect(t, server.config())

	if got := run(t, host, "printf", "%s|", "a b", "$HOME", "it's", "", "*"); got != "a b|$HOME|it's||*|" {
		t.Errorf("arguments arrived as %q", got)
	}
	out, err := host.Run(t.Context(), control.Cmd{
		Args: []string{"sh", "-c", `pwd; echo "$GREETING"; cat; echo aside >&2`},
		Env:  []string{"GREETING=hello  'world'"}, Dir: "/", Stdin: strings.NewReader("typed\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(out.Stdout); got != "/\nhello  'world'\ntyped\n" {
		t.Errorf("stdout = %q", got)
	}
	if got := string(out.Stderr); got != "aside\n" {
		t.Errorf("stderr = %q", got)
	}

	file := t.TempDir() + "/up load"
	content := strings.Repeat("0123456789abcdef", 1<<16)
	for range 2 { // a new file, then in place of the old one
		if err := host.Upload(t.Context(), strings.NewReader(content), file, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if got := run(t, host, "stat", "-c", "%a %s", file); got != "640 1048576\n" {
		t.Errorf("uploaded mode and size: %s", got)
	}
	var back bytes.Buffer
	if err := host.Download(t.Context(), file, &back); err != nil {
		t.Fatal(err)
	}
	if back.String() != content {
		t.Error("the file came back changed")
	}
}

func TestExitErrorNamesNodeCommandCodeAndStderr(t *testing.T) {
	host := connect(t, startSSHD(t, "").config())
	_, err := host.Run(t.Context(), control.Cmd{Args: []string{"sh", "-c", "echo half done; echo no such lease >&2; exit 3"}})
	var exit *control.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("error is %T: %v", err, err)
	}
	if exit.Code != 3 || exit.Signal != "" || string(exit.Output.Stdout) != "half done\n" {
		t.Errorf("exit error = %+v", exit)
	}
	if want := "n1: sh -c 'echo half done; echo no such lease >&2; exit 3': exit 3: no such lease"; err.Error() != want {
		t.Errorf("text = %q\nwant   %q", err, want)
	}
	_, err = host.Run(t.Context(), control.Cmd{Args: []string{"sh", "-c", "kill -TERM $$"}})
	if !errors.As(err, &exit) || exit.Code != -1 || exit.Signal != "TERM" {
		t.Errorf("killed command: %+v (%v)", exit, err)
	}
}

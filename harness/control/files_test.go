package control_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/faultline/faultline/harness/control"
)

// entries are the names in a directory.
func entries(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range list {
		names = append(names, entry.Name())
	}
	return strings.Join(names, " ")
}

// sudoServer is a server whose log-ins find a sudo that notes its use and runs the command.
func sudoServer(t *testing.T) (control.Config, *server, string) {
	t.Helper()
	bin := t.TempDir()
	noted := filepath.Join(bin, "noted")
	write(t, filepath.Join(bin, "sudo"), `#!/bin/sh
[ "$1 $2" = "-n --" ] || exit 99
shift 2
echo "$*" >> "`+noted+`"
exec "$@"
`, 0o700)
	s := newServer(t, func(s *server) { s.path = bin })
	cfg := s.config()
	cfg.User, cfg.Sudo = "vagrant", true
	return cfg, s, noted
}

func TestUploadIsWholeOrNothing(t *testing.T) {
	sudo, _, _ := sudoServer(t)
	for name, cfg := range map[string]control.Config{"OpenSSH": startSSHD(t, "").config(), "sudo": sudo} {
		t.Run(name, func(t *testing.T) {
			host := connect(t, cfg)
			dir := t.TempDir()
			file := filepath.Join(dir, "etcd.conf")
			write(t, file, "old", 0o600)
			bad := errors.New("disk on fire")
			err := host.Upload(t.Context(), io.MultiReader(strings.NewReader("half"), iotest.ErrReader(bad)), file, 0o644)
			if !errors.Is(err, bad) || !strings.HasPrefix(err.Error(), "n1: upload to "+file) {
				t.Errorf("error: %v", err)
			}
			expectFile(t, file, "old", 0o600)
			if got := entries(t, dir); got != "etcd.conf" {
				t.Errorf("left behind: %s", got)
			}
			if err := host.Upload(t.Context(), strings.NewReader("new"), file, 0o755); err != nil {
				t.Fatal(err)
			}
			expectFile(t, file, "new", 0o755)
			if got := entries(t, dir); got != "etcd.conf" {
				t.Errorf("left behind: %s", got)
			}

			if err := host.Upload(t.Context(), strings.NewReader("x"), filepath.Join(dir, "missing", "f"), 0o644); err == nil || !strings.Contains(err.Error(), "missing") {
				t.Errorf("into a missing directory: %v", err)
			}
			if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := host.Upload(t.Context(), strings.NewReader("x"), filepath.Join(dir, "taken"), 0o644); err == nil {
				t.Error("a directory was replaced by a file")
			}
			if got := entries(t, dir); got != "etcd.conf taken" {
				t.Errorf("left behind: %s", got)
			}
			if err := host.Download(t.Context(), filepath.Join(dir, "nothing"), io.Discard); err == nil || !strings.Contains(err.Error(), "n1: download "+filepath.Join(dir, "nothing")) {
				t.Errorf("a missing file: %v", err)
			}
		})
	}
}

func expectFile(t *testing.T, file, content string, mode fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != content || info.Mode().Perm() != mode {
		t.Errorf("%s holds %q with mode %v, want %q with %v", file, got, info.Mode(), content, mode)
	}
}

func TestSudoRunsCommandsAndMovesFilesAsRoot(t *testing.T) {
	cfg, s, noted := sudoServer(t)
	host := connect(t, cfg)
	out, err := host.Run(t.Context(), control.Cmd{Args: []string{"sh", "-c", `pwd; echo "$A"; cat`}, Dir: "/", Env: []string{"A=b c"}, Stdin: strings.NewReader("in")})
	if err != nil || string(out.Stdout) != "/\nb c\nin" {
		t.Fatalf("%q, %v", out.Stdout, err)
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := host.Upload(t.Context(), strings.NewReader("content"), file, 0o640); err != nil {
		t.Fatal(err)
	}
	var back bytes.Buffer
	if err := host.Download(t.Context(), file, &back); err != nil || back.String() != "content" {
		t.Errorf("%q, %v", &back, err)
	}
	text, err := os.ReadFile(noted)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"env A=b c sh -c", "install -m", "cat -- " + file} {
		if !strings.Contains(string(text), want) {
			t.Errorf("sudo was not asked for %q, but for:\n%s", want, text)
		}
	}
	if n := s.ran(""); n != strings.Count(string(text), "\n") && n < 3 {
		t.Errorf("%d commands were run", n)
	}
	cancelCommands(t, host, 2)

	cfg.User = "root"
	before := len(text)
	run(t, connect(t, cfg), "true")
	if text, err = os.ReadFile(noted); err != nil || strings.HasSuffix(string(text), "\ntrue\n") || len(text) < before {
		t.Errorf("root went through sudo: %s", text)
	}
}

func TestSudoThatWantsAPassword(t *testing.T) {
	bin := t.TempDir()
	write(t, filepath.Join(bin, "sudo"), "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n", 0o700)
	cfg := newServer(t, func(s *server) { s.path = bin }).config()
	cfg.User, cfg.Sudo = "vagrant", true
	_, err := connect(t, cfg).Run(t.Context(), control.Cmd{Args: []string{"true"}})
	if err == nil || !strings.Contains(err.Error(), "n1: true: exit 1: sudo: a password is required (let the user run sudo without a password") {
		t.Errorf("error: %v", err)
	}
}

func TestCancelledUploadEndsPromptlyAndLeavesNothing(t *testing.T) {
	host := connect(t, startSSHD(t, "").config())
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	endless := iotest.DataErrReader(readerFunc(func(p []byte) (int, error) {
		if strings.HasPrefix(entries(t, dir), ".f.faultline-") {
			cancel()
		}
		return len(p), nil
	}))
	err := host.Upload(ctx, endless, filepath.Join(dir, "f"), 0o600)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	if got := entries(t, dir); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestUploadIsSentAgainAfterABreak(t *testing.T) {
	s := newServer(t, nil)
	host := connect(t, s.config())
	file := filepath.Join(t.TempDir(), "f")
	content := bytes.NewReader(bytes.Repeat([]byte("x"), 1<<20))
	var once sync.Once
	breaking := &seekingReader{content, func() { once.Do(s.cut) }}
	if err := host.Upload(t.Context(), breaking, file, 0o600); err != nil {
		t.Fatal(err)
	}
	expectFile(t, file, strings.Repeat("x", 1<<20), 0o600)

	once = sync.Once{}
	spent := struct{ io.Reader }{&seekingReader{bytes.NewReader(make([]byte, 1<<20)), func() { once.Do(s.cut) }}}
	var lost *control.LostError
	if err := host.Upload(t.Context(), spent, file, 0o600); !errors.As(err, &lost) {
		t.Errorf("a source that can't be read again: %v", err)
	}
}

// seekingReader calls a function before each read.
type seekingReader struct {
	*bytes.Reader
	before func()
}

func (r *seekingReader) Read(p []byte) (int, error) {
	r.before()
	return r.Reader.Read(p)
}

// WriteTo hides bytes.Reader's, which would go past Read.
func (r *seekingReader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}

func TestServerWithoutSFTP(t *testing.T) {
	s := startSSHD(t, "")
	cfg := s.config()
	s.stop()
	s.noSFTP = true
	s.start()
	err := connect(t, cfg).Upload(t.Context(), strings.NewReader("x"), filepath.Join(s.dir, "f"), 0o600)
	if err == nil || !strings.Contains(err.Error(), `enable "Subsystem sftp" in its sshd_config`) {
		t.Errorf("error: %v", err)
	}
}

func TestDownloadOfFilesThatHaveNoSize(t *testing.T) {
	host := connect(t, startSSHD(t, "").config())
	var status bytes.Buffer
	if err := host.Download(t.Context(), "/proc/self/status", &status); err != nil || !strings.Contains(status.String(), "Name:") {
		t.Errorf("%q, %v", &status, err)
	}
	bad := errors.New("no space left")
	if err := host.Download(t.Context(), "/proc/self/status", writerFunc(func([]byte) (int, error) { return 0, bad })); !errors.Is(err, bad) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

package control_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/faultline/faultline/harness/control"
)

// sshdPath is where Debian's openssh-server puts it.
const sshdPath = "/usr/sbin/sshd"

// sshd is a real OpenSSH server on a loopback port, for one test.
type sshd struct {
	t     *testing.T
	dir   string
	port  int
	extra string // lines for its sshd_config
	// noSFTP leaves the file transfer out.
	noSFTP bool
	cmd    *exec.Cmd
	log    *lockedBuffer
}

// startSSHD starts an sshd that admits the user of the test, with the identity file that identity() names.
func startSSHD(t *testing.T, extra string) *sshd {
	t.Helper()
	if _, err := os.Stat(sshdPath); err != nil {
		t.Skipf("%s is missing, so nothing is tested against OpenSSH: apt-get install openssh-server", sshdPath)
	}
	s := &sshd{t: t, dir: t.TempDir(), extra: extra, port: freePort(t)}
	public := writeKey(t, s.identity())
	write(t, filepath.Join(s.dir, "authorized_keys"), string(ssh.MarshalAuthorizedKey(public)), 0o600)
	writeKey(t, filepath.Join(s.dir, "host_key"))
	s.start()
	return s
}

func (s *sshd) identity() string   { return filepath.Join(s.dir, "id_ed25519") }
func (s *sshd) knownHosts() string { return filepath.Join(s.dir, "known_hosts") }
func (s *sshd) endpoint() string   { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// start runs the server and waits until it accepts connections.
func (s *sshd) start() {
	s.t.Helper()
	// sshd run by root wants this directory, which the package's service makes.
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	subsystem := "Subsystem sftp internal-sftp"
	if s.noSFTP {
		subsystem = ""
	}
	// With a HOME of its own the log-in shell reads nobody's start-up files.
	config := fmt.Sprintf(`Port %d
ListenAddress 127.0.0.1
HostKey %s/host_key
AuthorizedKeysFile %s/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 200
LogLevel VERBOSE
%s
SetEnv HOME=%s
%s
`, s.port, s.dir, s.dir, subsystem, s.dir, s.extra)
	write(s.t, filepath.Join(s.dir, "sshd_config"), config, 0o600)
	s.log = &lockedBuffer{}
	s.cmd = exec.Command(sshdPath, "-D", "-e", "-f", filepath.Join(s.dir, "sshd_config"))
	s.cmd.Stderr = s.log
	// Its own group, so that an interrupted test ends in order; and never left behind by one that was killed.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.stop)
	waitFor(s.t, "sshd to listen\n"+s.log.String(), func() bool {
		conn, err := net.Dial("tcp", s.endpoint())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// stop ends the server and all of its connections' processes, which it finds as its descendants.
func (s *sshd) stop() {
	if s.cmd == nil {
		return
	}
	for _, pid := range descendants(s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
	if s.t.Failed() {
		s.t.Logf("sshd's log:\n%s", s.log)
	}
}

// config is how to reach the server.
func (s *sshd) config() control.Config {
	public := readPublicKey(s.t, filepath.Join(s.dir, "host_key.pub"))
	write(s.t, s.knownHosts(), knownhosts.Line([]string{knownhosts.Normalize(s.endpoint())}, public)+"\n", 0o600)
	return control.Config{
		Name: "n1", Addr: "127.0.0.1", Port: s.port, User: username(s.t),
		IdentityFiles: []string{s.identity()}, KnownHosts: []string{s.knownHosts()},
	}
}

// descendants are the process ids of all that a process started, and those started in turn.
func descendants(pid int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var all []int
	for _, field := range strings.Fields(string(text)) {
		var child int
		if _, err := fmt.Sscan(field, &child); err == nil {
			all = append(append(all, child), descendants(child)...)
		}
	}
	return all
}

func connect(t *testing.T, cfg control.Config) *control.SSH {
	t.Helper()
	host, err := control.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	return host
}

func run(t *testing.T, host control.Host, args ...string) string {
	t.Helper()
	out, err := host.Run(t.Context(), control.Cmd{Args: args})
	if err != nil {
		t.Fatal(err)
	}
	return string(out.Stdout)
}

func username(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// freePort is a loopback port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// writeKey makes a key pair at file and file.pub.
func writeKey(t *testing.T, file string) ssh.PublicKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(pem.EncodeToMemory(block)), 0o600)
	write(t, file+".pub", string(ssh.MarshalAuthorizedKey(key)), 0o600)
	return key
}

func readPublicKey(t *testing.T, file string) ssh.PublicKey {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// waitFor waits until something holds, and fails the test when it has not for 10 s.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !holds() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

// lockedBuffer is a buffer that a process writes while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func runLocal(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

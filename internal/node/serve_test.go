package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/faultline/faultline/harness/control"
)

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// newServer serves on a loopback port until the test's end, and gives the way in.
func newServer(t *testing.T) (context.Context, control.Config) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	hostKey, clientKey := newSigner(t), newSigner(t)
	config := serverConfig(hostKey, [][]byte{clientKey.PublicKey().Marshal()})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- acceptAll(ctx, listener, config) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	port := listener.Addr().(*net.TCPAddr).Port
	limited, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return limited, control.Config{
		Name: "n1", Addr: "127.0.0.1", Port: port, User: "root", Signers: []ssh.Signer{clientKey}, HostKey: hostKey.PublicKey(), Attempts: 1,
	}
}

func login(t *testing.T, ctx context.Context, cfg control.Config) *control.SSH {
	t.Helper()
	h, err := control.Connect(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestCommandsOverSSH(t *testing.T) {
	ctx, cfg := newServer(t)
	h := login(t, ctx, cfg)
	for _, test := range []struct {
		name, script, stdin, stdout, end string
	}{
		{"output", "echo a; echo b >&2", "", "a\n", ""},
		{"input", "cat", "hello", "hello", ""},
		{"exit", "echo why >&2; exit 3", "", "", "exit 3: why"},
		{"signal", "kill -KILL $$", "", "", "killed by SIGKILL"},
		{"environment", "echo $FOO; set -- $SSH_CONNECTION; echo $#", "", "bar\n4\n", ""},
		{"unread input", "exit 0", strings.Repeat("x", 1<<20), "", ""},
		{"much output", "head -c 3000000 /dev/zero | tr '\\0' x", "", strings.Repeat("x", 3000000), ""},
		{"what stays in the background is not waited for", "sleep 1000 & echo $!", "", "*", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := h.Run(ctx, control.Cmd{Args: []string{"sh", "-c", test.script}, Stdin: strings.NewReader(test.stdin), Env: []string{"FOO=bar"}})
			switch {
			case test.end == "" && err != nil:
				t.Error(err)
			case test.end != "" && (err == nil || !strings.Contains(err.Error(), test.end)):
				t.Errorf("%v; not %q", err, test.end)
			case test.stdout == "*":
				var pid int
				fmt.Sscan(string(out.Stdout), &pid)
				if err := signalGroupOf(pid); err != nil {
					t.Error(err)
				}
			case test.end == "" && string(out.Stdout) != test.stdout:
				t.Errorf("%.100q; not %.100q", out.Stdout, test.stdout)
			}
		})
	}
}

// signalGroupOf kills a process by its id.
func signalGroupOf(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// TestCancelledCommandIsKilled: the command, and what it started in its process group.
func TestCancelledCommandIsKilled(t *testing.T) {
	ctx, cfg := newServer(t)
	for name, cancelBy := range map[string]func(context.CancelFunc, *control.SSH){
		"by the caller":          func(cancel context.CancelFunc, _ *control.SSH) { cancel() },
		"by a broken connection": func(_ context.CancelFunc, h *control.SSH) { h.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			h := login(t, ctx, cfg)
			pids := filepath.Join(t.TempDir(), "pids")
			short, cancel := context.WithCancel(ctx)
			defer cancel()
			ended := make(chan error)
			go func() {
				_, err := h.Run(short, control.Cmd{Args: []string{"sh", "-c", `sleep 1000 & echo $$ $! > "$1.new"; mv "$1.new" "$1"; wait`, "sh", pids}})
				ended <- err
			}()
			var text []byte
			err := await(ctx, 10*time.Second, "its start", func() (bool, error) {
				var err error
				text, err = os.ReadFile(pids)
				return err == nil, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			cancelBy(cancel, h)
			if err := <-ended; err == nil {
				t.Error("it ended well")
			}
			var shell, sleep int
			if _, err := fmt.Sscan(string(text), &shell, &sleep); err != nil {
				t.Fatal(err)
			}
			err = await(ctx, 10*time.Second, "its death", func() (bool, error) {
				a, err1 := readStat(shell)
				b, err2 := readStat(sleep)
				return (err1 != nil || a.dead()) && (err2 != nil || b.dead()), nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFilesOverSSH(t *testing.T) {
	ctx, cfg := newServer(t)
	h := login(t, ctx, cfg)
	content := make([]byte, 5<<20)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "file")
	for range 2 { // the second time over the first
		if err := h.Upload(ctx, bytes.NewReader(content), path, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	var back bytes.Buffer
	if err := h.Download(ctx, path, &back); err != nil || !bytes.Equal(back.Bytes(), content) {
		t.Errorf("%d bytes came back, %v", back.Len(), err)
	}
}

func TestConnectionsThroughSSH(t *testing.T) {
	ctx, cfg := newServer(t)
	h := login(t, ctx, cfg)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(conn, conn) // until the other side has said all; then this side has too
			conn.Close()
		}
	}()
	conn, err := h.Dial(ctx, listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "ping"); err != nil {
		t.Fatal(err)
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			t.Error(err)
		}
		if text, err := io.ReadAll(conn); err != nil || string(text) != "ping" {
			t.Errorf("%q, %v", text, err)
		}
	} else {
		text := make([]byte, 4)
		if _, err := io.ReadFull(conn, text); err != nil || string(text) != "ping" {
			t.Errorf("%q, %v", text, err)
		}
	}
	listener.Close()
	if _, err := h.Dial(ctx, listener.Addr().String()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("dialled nobody: %v", err)
	}
}

func TestManyCommandsAtOnce(t *testing.T) {
	ctx, cfg := newServer(t)
	h := login(t, ctx, cfg)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			out, err := h.Run(ctx, control.Cmd{Args: []string{"echo", fmt.Sprint(i)}})
			if err != nil || strings.TrimSpace(string(out.Stdout)) != fmt.Sprint(i) {
				t.Errorf("%d: %q, %v", i, out.Stdout, err)
			}
		})
	}
	all.Wait()
}

func TestStrangersAreRefused(t *testing.T) {
	ctx, cfg := newServer(t)
	stranger := cfg
	stranger.Signers = []ssh.Signer{newSigner(t)}
	var auth *control.AuthError
	if h, err := control.Connect(ctx, stranger); !errors.As(err, &auth) {
		t.Errorf("%v, %v", h, err)
	}
	impostor := cfg
	impostor.HostKey = newSigner(t).PublicKey()
	var hostKey *control.HostKeyError
	if h, err := control.Connect(ctx, impostor); !errors.As(err, &hostKey) {
		t.Errorf("%v, %v", h, err)
	}
}

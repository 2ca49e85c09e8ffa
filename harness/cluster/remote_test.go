package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/internal/node"
)

const opensshPort = 2222

// openssh starts Debian's sshd on each node, and gives the way to log in to it.
func openssh(t *testing.T, ctx context.Context, c *Cluster, user string) []control.Config {
	t.Helper()
	if _, err := exec.LookPath("/usr/sbin/sshd"); err != nil {
		t.Skip("needs OpenSSH's server: apt-get install openssh-server")
	}
	k, err := readKeys(openStore().cluster(c.Name()))
	if err != nil {
		t.Fatal(err)
	}
	var hosts []control.Config
	for _, n := range c.Nodes() {
		script := fmt.Sprintf(`set -e
mkdir -p /run/sshd /etc/sshd-test
id tester >/dev/null 2>&1 || useradd -m -s /bin/sh -p '*' tester
for home in /root /home/tester; do
	mkdir -p $home/.ssh; cp /run/faultline/ssh/authorized_keys $home/.ssh/; chmod 700 $home/.ssh
done
chown -R tester /home/tester
cp /run/faultline/ssh/host_key /etc/sshd-test/key
cat > /etc/sshd-test/config <<X
Port %d
HostKey /etc/sshd-test/key
PidFile none
UsePAM no
PermitRootLogin prohibit-password
AuthorizedKeysFile .ssh/authorized_keys
Subsystem sftp internal-sftp
X
# A sudo as far as it matters: it makes root, and hides the environment.
cp %s /usr/bin/sudo
chmod 4755 /usr/bin/sudo
`, opensshPort, node.BinaryPath)
		if _, err := n.Run(ctx, control.Cmd{Args: []string{"sh", "-c", script}}); err != nil {
			t.Fatal(err)
		}
		_, err := n.Start(ctx, control.Process{Name: "sshd", Args: []string{"/usr/sbin/sshd", "-D", "-e", "-f", "/etc/sshd-test/config"}, Log: "/var/log/sshd.log"})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leaseOf(t, c.Name()).Nodes {
			if l.Name == n.Name() {
				cfg := sshConfig(l, k)
				cfg.Port, cfg.User, cfg.Sudo = opensshPort, user, user != "root"
				hosts = append(hosts, cfg)
			}
		}
	}
	return hosts
}

func TestRemoteHosts(t *testing.T) {
	for _, user := range []string{"root", "tester"} {
		t.Run(user, func(t *testing.T) {
			ctx := needRoot(t)
			local := up(t, ctx, Options{Nodes: 2, Name: "a"})
			hosts := openssh(t, ctx, local, user)
			var remote *Cluster
			err := await(ctx, 10*time.Second, "sshd", func() (bool, error) {
				var err error
				remote, err = Remote(ctx, RemoteOptions{Hosts: hosts})
				if err != nil && strings.Contains(err.Error(), "refused") {
					return false, nil
				}
				return err == nil, err
			})
			if err != nil {
				t.Fatal(err)
			}
			n1, n2 := remote.Nodes()[0], remote.Nodes()[1]
			if n1.Addr() != local.Nodes()[0].Addr() || remote.ClientAddr() != local.ClientAddr() {
				t.Errorf("found the addresses %s and %s", n1.Addr(), remote.ClientAddr())
			}
			_, err = n1.Start(ctx, control.Process{
				Name: "echo", Args: append(n1.program, "test-echo", fmt.Sprintf(":%d", echoPort)), Log: "/var/log/echo.log",
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := await(ctx, 10*time.Second, "echo", func() (bool, error) { return say(ctx, n2, n1.Addr()) == nil, nil }); err != nil {
				t.Fatal(err)
			}
			if err := n1.Cut(ctx, "p", peerRule(n2.Addr(), true)); err != nil {
				t.Fatal(err)
			}
			if err := say(ctx, n2, n1.Addr()); err == nil {
				t.Error("the cut link carries traffic")
			}
			err = n1.Cut(ctx, "ssh", []control.CutRule{{Ports: []int{opensshPort}}})
			if err == nil || !strings.Contains(err.Error(), "no fault may touch it") {
				t.Errorf("cutting the control connection: %v", err)
			}
			// The node finds the port by itself too, also behind sudo.
			n1.protect = nil
			if err := n1.Cut(ctx, "ssh", []control.CutRule{{Ports: []int{opensshPort}}}); err == nil {
				t.Error("the node let its control connection be cut")
			}
			if at, err := n1.Install(ctx, "/bin/true"); err != nil || at != "/bin/true" {
				t.Errorf("installed at %q, %v", at, err)
			}
			// Down ends what was started through these hosts. It is the same machine as the embedded nodes, so sshd goes too, and that last.
			if err := remote.Close(); err != nil {
				t.Fatal(err)
			}
			for _, n := range local.Nodes() {
				if _, err := call[node.Healed](ctx, n, "clean", node.None{}, false); err != nil {
					t.Fatal(err)
				}
				if ps, err := n.Processes(ctx); err != nil || len(ps) != 0 {
					t.Errorf("after clean: %v, %v", ps, err)
				}
			}
		})
	}
}

func TestRemoteRefusesAForeignProgram(t *testing.T) {
	ctx := needRoot(t)
	local := up(t, ctx, Options{Nodes: 1, Name: "a"})
	hosts := openssh(t, ctx, local, "root")
	foreign := filepath.Join(t.TempDir(), "faultline")
	if err := os.WriteFile(foreign, []byte("\x7fELF for another machine"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := await(ctx, 10*time.Second, "sshd", func() (bool, error) {
		c, err := Remote(ctx, RemoteOptions{Hosts: hosts, Binary: foreign})
		if err == nil {
			return false, errors.Join(errors.New("a program of another kind was taken"), c.Close())
		}
		return strings.Contains(err.Error(), "is it built for that machine?"), nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestAddressings: which networks are tried, and in which order.
func TestAddressings(t *testing.T) {
	host := func(server string, networks ...string) node.HelloAnswer {
		return node.HelloAnswer{Server: server, Networks: networks}
	}
	for name, test := range map[string]struct {
		hosts []node.HelloAnswer
		want  [][]string
	}{
		"one host is where it was logged in to, else on its private network": {
			[]node.HelloAnswer{host("10.0.2.15", "10.0.2.15/24", "192.168.56.11/24")},
			[][]string{{"10.0.2.15"}, {"192.168.56.11"}},
		},
		"machines behind NAT all have the same first address": {
			[]node.HelloAnswer{
				host("10.0.2.15", "10.0.2.15/24", "192.168.56.11/24"), host("10.0.2.15", "10.0.2.15/24", "192.168.56.12/24"),
			},
			[][]string{{"192.168.56.11", "192.168.56.12"}},
		},
		"a network of their own before that of the log-in; container bridges are not shared": {
			[]node.HelloAnswer{
				host("192.168.121.5", "192.168.121.5/24", "172.17.0.1/16", "10.9.0.1/24"), host("192.168.121.6", "192.168.121.6/24", "172.17.0.1/16", "10.9.0.2/24"),
			},
			[][]string{{"10.9.0.1", "10.9.0.2"}, {"192.168.121.5", "192.168.121.6"}},
		},
		"hosts in different networks": {
			[]node.HelloAnswer{host("198.51.100.7", "198.51.100.7/24"), host("203.0.113.9", "203.0.113.9/24")},
			[][]string{{"198.51.100.7", "203.0.113.9"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := addressings(make([]string, len(test.hosts)), test.hosts)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%v, %v\nnot %v", got, err, test.want)
			}
		})
	}
	if _, err := addressings([]string{"10.0.0.1", ""}, make([]node.HelloAnswer, 2)); err == nil {
		t.Error("half of the addresses given was accepted")
	}
}

func TestShell(t *testing.T) {
	ctx := needRoot(t)
	n := up(t, ctx, Options{Nodes: 1, Name: "a"}).Nodes()[0]
	for _, test := range []struct {
		name, kind, input, want string
		args                    []string
	}{
		{"command", "", "", "n1\n", []string{"hostname"}},
		{"command reads its input", "", "hello", "HELLO", []string{"tr", "a-z", "A-Z"}},
		{"command on a terminal", "xterm", "", "xterm 30 100", []string{"sh", "-c", "test -t 0 && echo $TERM $(stty size)"}},
		{"login shell", "xterm", "echo $((6*7))\nexit\n", "42", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			err := n.Shell(ctx, test.args, control.Terminal{
				Stdin: strings.NewReader(test.input), Stdout: &out, Stderr: &stderr, Kind: test.kind, Size: control.TerminalSize{Columns: 100, Rows: 30},
			})
			if err != nil || !strings.Contains(out.String(), test.want) {
				t.Errorf("%q, %q, %v", out.String(), stderr.String(), err)
			}
		})
	}
	err := n.Shell(ctx, []string{"sh", "-c", "exit 7"}, control.Terminal{Stdout: io.Discard, Stderr: io.Discard})
	var exit *control.ExitError
	if !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("exit 7 became %v", err)
	}
}

func TestDoctor(t *testing.T) {
	ctx := needRoot(t)
	for _, c := range Doctor(ctx) {
		t.Logf("%-16s %v %s", c.Name, c.OK, c.Detail)
		if !c.OK && c.Name != "go" {
			t.Errorf("%s: %s", c.Name, c.Detail)
		}
	}
	if _, limbo, err := openStore().names(); err != nil || len(limbo) > 0 {
		t.Errorf("left behind: %q, %v", limbo, err)
	}
	var found bool
	for _, c := range doctor(ctx, "/bin/true") {
		if c.Name == "namespaces" && !c.OK && c.Fix != "" {
			found = true
		}
	}
	if !found {
		t.Error("a node that does not come up was not noticed")
	}
}

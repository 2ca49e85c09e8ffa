package control_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/faultline/faultline/harness/control"
)

// vagrantOutput is laid out as `vagrant ssh-config` does it.
const vagrantOutput = `Host n1
  HostName 192.168.121.21
  User vagrant
  Port 22
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile "/home/someone/my project/.vagrant/machines/n1/libvirt/private_key"
  IdentitiesOnly yes
  LogLevel FATAL
  PubkeyAcceptedKeyTypes +ssh-rsa
  HostKeyAlgorithms +ssh-rsa

Host n2
  HostName 127.0.0.1
  User vagrant
  Port 2222
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile /home/someone/.vagrant.d/insecure_private_keys/vagrant.key.ed25519
  IdentityFile /home/someone/.vagrant.d/insecure_private_keys/vagrant.key.rsa
  IdentitiesOnly yes
  LogLevel FATAL

`

// describe is a Config as a transcript shows it.
func describe(c control.Config) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s = %s@%s:%d %s", c.Name, c.User, c.Addr, c.Port, [...]string{"strict", "accept-new", "unchecked"}[c.HostKeys])
	if c.AgentSocket != "" {
		text.WriteString(" agent " + c.AgentSocket)
	}
	if c.IdentitiesOnly {
		text.WriteString(" identities-only")
	}
	if c.Sudo {
		text.WriteString(" sudo")
	}
	if c.HostKeyAlias != "" {
		text.WriteString(" alias " + c.HostKeyAlias)
	}
	if c.ConnectTimeout != 0 || c.KeepAlive != 0 {
		fmt.Fprintf(&text, " connect %v alive %v", c.ConnectTimeout, c.KeepAlive)
	}
	text.WriteByte('\n')
	for _, file := range c.IdentityFiles {
		text.WriteString("  key " + file + "\n")
	}
	for _, file := range c.KnownHosts {
		text.WriteString("  known " + file + "\n")
	}
	for _, jump := range c.ProxyJump {
		text.WriteString("  via " + strings.ReplaceAll(strings.TrimSuffix(describe(jump), "\n"), "\n", "\n    ") + "\n")
	}
	return text.String()
}

func TestSSHConfig(t *testing.T) {
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeKey(t, filepath.Join(home, ".ssh", "id_ed25519"))
	opts := control.SSHConfigOptions{Home: home, User: "me", AgentSocket: "/agent", Warn: func(string) {}}
	const global = "  known /etc/ssh/ssh_known_hosts\n  known /etc/ssh/ssh_known_hosts2\n"
	const known = "  known HOME/.ssh/known_hosts\n  known HOME/.ssh/known_hosts2\n" + global
	for _, c := range []struct {
		name, file string
		names      []string
		sudo       bool
		want       string
	}{
		{"vagrant, every host", vagrantOutput, nil, true, `n1 = vagrant@192.168.121.21:22 unchecked agent /agent identities-only sudo
  key /home/someone/my project/.vagrant/machines/n1/libvirt/private_key
` + global + `n2 = vagrant@127.0.0.1:2222 unchecked agent /agent identities-only sudo
  key /home/someone/.vagrant.d/insecure_private_keys/vagrant.key.ed25519
  key /home/someone/.vagrant.d/insecure_private_keys/vagrant.key.rsa
` + global},
		{"vagrant, one", vagrantOutput, []string{"n2"}, false, `n2 = vagrant@127.0.0.1:2222 unchecked agent /agent identities-only
  key /home/someone/.vagrant.d/insecure_private_keys/vagrant.key.ed25519
  key /home/someone/.vagrant.d/insecure_private_keys/vagrant.key.rsa
` + global},
		{
			"defaults", "Host n1\n", nil, false,
			"n1 = me@n1:0 strict agent /agent\n  key HOME/.ssh/id_ed25519\n" + known,
		},
		{
			"patterns, first value counts", "Host n*\n  User etcd\nHost *\n  User nobody\n  IdentityAgent none\n  IdentityFile none\n  ServerAliveInterval 7\n  ConnectTimeout 30\n",
			[]string{"n9"},
			false, "n9 = etcd@n9:0 strict connect 30s alive 7s\n" + known,
		},
		{
			"tokens", "Host n1\n  HostName %h.lab\n  User op\n  Port 2200\n  IdentityFile ~/keys/%r@%h:%p-%n-%u%%\n  IdentityAgent %d/agent\n  UserKnownHostsFile ~/a /b/%k\n  GlobalKnownHostsFile none\n  HostKeyAlias lab-n1\n",
			nil, false, "n1 = op@n1.lab:2200 strict agent HOME/agent alias lab-n1\n  key HOME/keys/op@n1.lab:2200-n1-me%\n  known HOME/a\n  known /b/lab-n1\n",
		},
		{
			"no, with a file to remember keys in, is accept-new", "Host n1\n  StrictHostKeyChecking no\n  IdentityFile /k\n", nil, false,
			"n1 = me@n1:0 accept-new agent /agent\n  key /k\n" + known,
		},
		{
			"accept-new, with none, is unchecked", "Host n1\n  StrictHostKeyChecking accept-new\n  UserKnownHostsFile /dev/null\n  GlobalKnownHostsFile /dev/null\n  IdentityFile /k\n", nil, false,
			"n1 = me@n1:0 unchecked agent /agent\n  key /k\n",
		},
		{
			"jumps", "Host *\n  IdentityFile /k\n  GlobalKnownHostsFile none\n  UserKnownHostsFile /f\nHost n1\n  ProxyJump ops@gate:2022,inner\nHost gate\n  HostName gate.example\n  ProxyJump outer\nHost inner\n  ProxyJump ignored\n",
			[]string{"n1"},
			true, "n1 = me@n1:0 strict agent /agent sudo\n  key /k\n  known /f\n" +
				"  via outer = me@outer:0 strict agent /agent\n      key /k\n      known /f\n" +
				"  via gate = ops@gate.example:2022 strict agent /agent\n      key /k\n      known /f\n" +
				"  via inner = me@inner:0 strict agent /agent\n      key /k\n      known /f\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "ssh_config")
			write(t, file, c.file, 0o600)
			opts := opts
			opts.Sudo = c.sudo
			configs, err := control.FromSSHConfig(file, c.names, opts)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, cfg := range configs {
				got.WriteString(strings.ReplaceAll(describe(cfg), home, "HOME"))
			}
			if got.String() != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", &got, c.want)
			}
		})
	}
}

func TestSSHConfigErrors(t *testing.T) {
	opts := control.SSHConfigOptions{Home: "/home/me", User: "me"}
	for _, c := range []struct {
		file string
		name string
		want string
	}{
		{vagrantOutput, "n3", "FILE does not list host n3: the nearest name there is n1"},
		{"Host etcd-1 kube-1\nHost *\n  User x\n", "kube1", "FILE does not list host kube1: the nearest name there is kube-1"},
		{"Host *\n  User x\n", "n1", "FILE does not list host n1, nor any other"},
		{"Host *\n  User x\n", "", `FILE lists no host by name: add "Host NAME" sections, or name the hosts`},
		{"Host n1\n  Port ssh\n", "n1", `FILE: host n1: Port "ssh" is not a number`},
		{"Host n1\n  IdentityFile ~/%X\n", "n1", `FILE: host n1: "/home/me/%X": the token %X is not known here`},
		{"Host n1\n  IdentityFile ~/50%\n", "n1", `FILE: host n1: "/home/me/50%" ends in a lone %: write %% for a per cent sign`},
		{"Host n1\n  IdentityFile ~root/key\n", "n1", `FILE: host n1: "~root/key": other users' home directories are not looked up: give the path`},
		{"Host n1\n  ProxyCommand nc %h %p\n", "n1", "FILE: host n1: ProxyCommand is not supported: use ProxyJump"},
		{"Host n1\n  ProxyJump n1\n", "n1", "ProxyJump leads through more than 8 hosts: it may go in a circle"},
		{"Host n1\n  ProxyJump gate:http\n", "n1", `FILE: host n1: ProxyJump "gate:http": "http" is not a port`},
		{"Host n1\n  StrictHostKeyChecking maybe\n", "n1", `FILE: host n1: StrictHostKeyChecking "maybe" is none of yes, ask, accept-new, no`},
		{"Match exec true\n", "n1", "FILE: not an ssh_config file: "},
	} {
		file := filepath.Join(t.TempDir(), "ssh_config")
		write(t, file, c.file, 0o600)
		var names []string
		if c.name != "" {
			names = []string{c.name}
		}
		_, err := control.FromSSHConfig(file, names, opts)
		if err == nil {
			t.Errorf("accepted:\n%s", c.file)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), file, "FILE"); !strings.Contains(got, c.want) {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	if _, err := control.FromSSHConfig(filepath.Join(t.TempDir(), "none"), nil, opts); err == nil || !strings.Contains(err.Error(), "none: no such file") {
		t.Errorf("a missing file: %v", err)
	}
}

// What `vagrant ssh-config` prints is used as it is, against a real sshd.
func TestSSHConfigReachesOpenSSH(t *testing.T) {
	s := startSSHD(t, "")
	file := filepath.Join(s.dir, "ssh_config")
	write(t, file, fmt.Sprintf(`Host box
  HostName 127.0.0.1
  User %s
  Port %d
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile "%s"
  IdentitiesOnly yes
  LogLevel FATAL
Host inside
  HostName 127.0.0.1
  User %s
  Port %d
  UserKnownHostsFile %s/own
  StrictHostKeyChecking accept-new
  IdentityFile %s
  ProxyJump box
`, username(t), s.port, s.identity(), username(t), s.port, s.dir, s.identity()), 0o600)
	var told []string
	configs, err := control.FromSSHConfig(file, nil, control.SSHConfigOptions{Home: s.dir, User: "me", Warn: func(text string) { told = append(told, text) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, cfg := range configs {
		run(t, connect(t, cfg), "true")
	}
	if len(told) != 3 || !strings.HasPrefix(told[0], "box: the host key of 127.0.0.1:") || !strings.HasPrefix(told[2], "inside: accepted the new host key") {
		t.Errorf("told: %q", told)
	}
}

package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/kevinburke/ssh_config"
)

// SSHConfigOptions are what an ssh_config file leaves to its surroundings.
type SSHConfigOptions struct {
	// Home is the directory that "~" and the default key and known_hosts files are in.
	Home string
	// User is the local user's name, and the log-in where the file names none.
	User string
	// AgentSocket is the SSH agent's socket, where the file names none.
	AgentSocket string
	// Sudo is copied to each Config.
	Sudo bool
	// Warn is copied to each Config. A file with "StrictHostKeyChecking no" needs it.
	Warn func(string)
}

// LocalSSHConfigOptions are the options of the user who runs this process.
func LocalSSHConfigOptions() (SSHConfigOptions, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return SSHConfigOptions{}, fmt.Errorf("find the home directory for ssh: %w", err)
	}
	local, err := user.Current()
	if err != nil {
		return SSHConfigOptions{}, fmt.Errorf("find the user's name for ssh: %w", err)
	}
	return SSHConfigOptions{Home: home, User: local.Username, AgentSocket: os.Getenv("SSH_AUTH_SOCK")}, nil
}

// jumpDepthMax bounds how many hosts a way may lead through, which also ends circles.
const jumpDepthMax = 8

// FromSSHConfig reads how to reach the named hosts from an ssh_config file, such as `vagrant ssh-config` prints; without names,
// all that it lists by a plain name, in its order.
//
// Read are HostName, Port, User, IdentityFile, IdentitiesOnly, IdentityAgent, ProxyJump, StrictHostKeyChecking, HostKeyAlias,
// UserKnownHostsFile, GlobalKnownHostsFile, ConnectTimeout and ServerAliveInterval; ProxyCommand is refused, the rest has no meaning here.
// "StrictHostKeyChecking no" (or accept-new) with no file to remember keys in (/dev/null) is Unchecked. With
// such a file "no" is AcceptNew: what ssh would let pass with a warning, a changed key, is still refused.
func FromSSHConfig(path string, names []string, opts SSHConfigOptions) ([]Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read ssh_config: %w", err)
	}
	parsed, err := ssh_config.DecodeBytes(text)
	if err != nil {
		return nil, fmt.Errorf("%s: not an ssh_config file: %w", path, err)
	}
	file := sshConfigFile{path: path, parsed: parsed, opts: opts}
	if len(names) == 0 {
		if names = file.names(); len(names) == 0 {
			return nil, fmt.Errorf("%s lists no host by name: add \"Host NAME\" sections, or name the hosts", path)
		}
	}
	configs := make([]Config, 0, len(names))
	for _, name := range names {
		if err := file.mustList(name); err != nil {
			return nil, err
		}
		cfg, err := file.config(name, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: host %s: %w", path, name, err)
		}
		configs = append(configs, cfg)
	}
	return configs, nil
}

type sshConfigFile struct {
	path   string
	parsed *ssh_config.Config
	opts   SSHConfigOptions
}

// names are the hosts that the file lists without a pattern.
func (f sshConfigFile) names() []string {
	var names []string
	for _, section := range f.parsed.Hosts {
		for _, pattern := range section.Patterns {
			name := pattern.String()
			if !strings.ContainsAny(name, "*?!") && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// mustList refuses a name that only the sections for every host apply to, and tells the nearest one.
func (f sshConfigFile) mustList(name string) error {
	for _, section := range f.parsed.Hosts {
		all := !slices.ContainsFunc(section.Patterns, func(p *ssh_config.Pattern) bool { return p.String() != "*" })
		if !all && section.Matches(name) {
			return nil
		}
	}
	// A file that it includes may list it.
	if address, err := f.parsed.Get(name, "HostName"); err == nil && address != "" {
		return nil
	}
	listed := f.names()
	if len(listed) == 0 {
		return fmt.Errorf("%s does not list host %s, nor any other", f.path, name)
	}
	nearest := slices.MinFunc(listed, func(a, b string) int {
		return levenshtein.ComputeDistance(a, name) - levenshtein.ComputeDistance(b, name)
	})
	return fmt.Errorf("%s does not list host %s: the nearest name there is %s", f.path, name, nearest)
}

// config reads one host. Jump hosts are read the same way, one level deeper.
func (f sshConfigFile) config(name string, depth int) (Config, error) {
	if depth > jumpDepthMax {
		return Config{}, fmt.Errorf("ProxyJump leads through more than %d hosts: it may go in a circle", jumpDepthMax)
	}
	s := &settings{file: f, name: name}
	cfg := Config{
		Name: name, Addr: name, User: f.opts.User, AgentSocket: f.opts.AgentSocket,
		Sudo: f.opts.Sudo && depth == 0, Warn: f.opts.Warn,
	}
	if address := s.get("HostName"); address != "" {
		cfg.Addr = s.expand(address, map[byte]string{'h': name})
	}
	if login := s.get("User"); login != "" {
		cfg.User = login
	}
	cfg.Port = s.number("Port")
	cfg.ConnectTimeout = time.Duration(s.number("ConnectTimeout")) * time.Second
	cfg.KeepAlive = time.Duration(s.number("ServerAliveInterval")) * time.Second
	cfg.HostKeyAlias = s.get("HostKeyAlias")
	s.tokens = f.tokens(cfg)
	cfg.IdentitiesOnly = s.get("IdentitiesOnly") == "yes" || s.get("IdentitiesOnly") == "true"
	cfg.IdentityFiles = s.identityFiles()
	cfg.AgentSocket = s.agentSocket()
	s.knownHosts(&cfg)
	if command := s.get("ProxyCommand"); command != "" && !strings.EqualFold(command, "none") {
		s.fail(errors.New("ProxyCommand is not supported: use ProxyJump"))
	}
	if s.err != nil {
		return Config{}, s.err
	}
	var err error
	cfg.ProxyJump, err = f.jumps(s.get("ProxyJump"), depth)
	return cfg, errors.Join(err, s.err)
}

// jumps reads the list of a ProxyJump. As in ssh, only the first host's own ProxyJump counts.
func (f sshConfigFile) jumps(list string, depth int) ([]Config, error) {
	if list == "" || strings.EqualFold(list, "none") {
		return nil, nil
	}
	var way []Config
	for i, entry := range strings.Split(list, ",") {
		login, name, port, err := splitJump(strings.TrimSpace(entry))
		if err != nil {
			return nil, err
		}
		jump, err := f.config(name, depth+1)
		if err != nil {
			return nil, fmt.Errorf("jump host %s: %w", name, err)
		}
		if login != "" {
			jump.User = login
		}
		if port != 0 {
			jump.Port = port
		}
		if i == 0 {
			way = append(way, jump.ProxyJump...)
		}
		jump.ProxyJump = nil
		way = append(way, jump)
	}
	return way, nil
}

// splitJump reads [user@]host[:port], which may stand behind "ssh://".
func splitJump(entry string) (login, host string, port int, err error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(entry, "ssh://"), "/")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		login, rest = rest[:at], rest[at+1:]
	}
	host = strings.Trim(rest, "[]")
	if name, number, splitErr := net.SplitHostPort(rest); splitErr == nil {
		host = name
		if port, err = strconv.Atoi(number); err != nil || port < 1 || port > 65535 {
			return "", "", 0, fmt.Errorf("ProxyJump %q: %q is not a port", entry, number)
		}
	}
	if host == "" {
		return "", "", 0, fmt.Errorf("ProxyJump %q names no host: it is [user@]host[:port]", entry)
	}
	return login, host, port, nil
}

// tokens are what %-tokens stand for, once address and log-in are known.
func (f sshConfigFile) tokens(cfg Config) map[byte]string {
	hostname, _ := os.Hostname() // an unknown name leaves %l and %L empty
	short, _, _ := strings.Cut(hostname, ".")
	port := cfg.Port
	if port == 0 {
		port = defaultPort
	}
	key := cfg.HostKeyAlias
	if key == "" {
		key = cfg.Name
	}
	return map[byte]string{
		'h': cfg.Addr, 'n': cfg.Name, 'k': key, 'p': strconv.Itoa(port), 'r': cfg.User,
		'u': f.opts.User, 'd': f.opts.Home, 'i': strconv.Itoa(os.Getuid()), 'l': hostname, 'L': short,
	}
}

// defaultIdentities are the key files that ssh looks for where none is configured.
func defaultIdentities(home string) []string {
	var found []string
	for _, name := range []string{"id_rsa", "id_ecdsa", "id_ed25519"} {
		file := filepath.Join(home, ".ssh", name)
		if _, err := os.Stat(file); err == nil {
			found = append(found, file)
		}
	}
	return found
}

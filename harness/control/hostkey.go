package control

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostKeys decides about a host's key: the callback of the handshake, and the algorithms to ask for, best first.
type hostKeys struct {
	callback   ssh.HostKeyCallback
	algorithms []string
}

func (c Config) hostKeys() (hostKeys, error) {
	switch {
	case c.HostKey != nil:
		return hostKeys{c.pinned, algorithmsFor([]ssh.PublicKey{c.HostKey})}, nil
	case c.HostKeys == Unchecked:
		return hostKeys{callback: func(string, net.Addr, ssh.PublicKey) error { return nil }}, nil
	}
	var files []string
	authority := false
	for _, file := range c.KnownHosts {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return hostKeys{}, fmt.Errorf("read known hosts: %w", err)
		}
		authority = authority || bytes.Contains(text, []byte("@cert-authority"))
		files = append(files, file)
	}
	check, err := knownhosts.New(files...)
	if err != nil {
		return hostKeys{}, fmt.Errorf("%w: correct or remove that line", err)
	}
	keys := hostKeys{callback: func(_ string, remote net.Addr, key ssh.PublicKey) error {
		return c.judge(check(c.keyName(), remote, key), key)
	}}
	// The server chooses among the algorithms asked for. Those of the listed keys go first, or a host with several
	// keys would look changed. Where an authority signs host keys, the library's order has certificates first.
	if !authority {
		keys.algorithms = algorithmsFor(listed(check, c.keyName()))
	}
	return keys, nil
}

// keyName is the name that the host has in known_hosts files.
func (c Config) keyName() string {
	if c.HostKeyAlias != "" {
		return net.JoinHostPort(c.HostKeyAlias, "22")
	}
	return c.endpoint()
}

func (c Config) pinned(_ string, _ net.Addr, key ssh.PublicKey) error {
	if bytes.Equal(key.Marshal(), c.HostKey.Marshal()) {
		return nil
	}
	return &HostKeyError{
		Host: knownhosts.Normalize(c.keyName()), Fingerprint: ssh.FingerprintSHA256(key), Changed: true,
		Where: "this cluster (" + ssh.FingerprintSHA256(c.HostKey) + ")",
		Fix:   "another host has taken its address: bring the cluster up again",
	}
}

// judge makes the policy's decision out of what the known_hosts files say about a key.
func (c Config) judge(verdict error, key ssh.PublicKey) error {
	var keyErr *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	refused := &HostKeyError{Host: knownhosts.Normalize(c.keyName()), Fingerprint: key.Type() + " " + ssh.FingerprintSHA256(key), Err: verdict}
	switch {
	case verdict == nil:
		return nil
	case errors.As(verdict, &revoked):
		refused.Changed = true
		refused.Where = fmt.Sprintf("%s:%d, which marks it as revoked,", revoked.Revoked.Filename, revoked.Revoked.Line)
		refused.Fix = "do not trust this host until it has a new key"
	case !errors.As(verdict, &keyErr):
		return fmt.Errorf("host key of %s: %w", refused.Host, verdict)
	case len(keyErr.Want) > 0:
		want := keyErr.Want[0]
		refused.Changed = true
		refused.Where = fmt.Sprintf("%s:%d", want.Filename, want.Line)
		refused.Fix = fmt.Sprintf("if the host was set up anew: %s", Quote([]string{"ssh-keygen", "-f", want.Filename, "-R", refused.Host}))
	case c.HostKeys == AcceptNew:
		if err := remember(c.KnownHosts[0], refused.Host, key); err != nil {
			return fmt.Errorf("remember the host key of %s: %w", refused.Host, err)
		}
		c.Warn(fmt.Sprintf("%s: accepted the new host key of %s (%s) and added it to %s", c.Name, refused.Host, refused.Fingerprint, c.KnownHosts[0]))
		return nil
	default:
		refused.Where = "any known_hosts file"
		if len(c.KnownHosts) > 0 {
			refused.Where = strings.Join(c.KnownHosts, ", ")
		}
		refused.Fix = "check the fingerprint and connect once with ssh, or ask for accept-new (StrictHostKeyChecking accept-new)"
	}
	return refused
}

// remember adds a key to a known_hosts file, which is made where there is none.
func remember(file, host string, key ssh.PublicKey) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	line := knownhosts.Line([]string{host}, key) + "\n"
	if before, err := os.ReadFile(file); err == nil && len(before) > 0 && !bytes.HasSuffix(before, []byte("\n")) {
		line = "\n" + line
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	// One write with O_APPEND: others may be adding hosts at the same moment.
	_, err = out.WriteString(line)
	return errors.Join(err, out.Close())
}

// listed are the keys that the files have for a host. They are found by asking about a key that can't be among them.
func listed(check ssh.HostKeyCallback, name string) []ssh.PublicKey {
	var keyErr *knownhosts.KeyError
	if !errors.As(check(name, &net.TCPAddr{}, noKey{}), &keyErr) {
		return nil
	}
	keys := make([]ssh.PublicKey, len(keyErr.Want))
	for i, want := range keyErr.Want {
		keys[i] = want.Key
	}
	return keys
}

// algorithmsFor are all algorithms supported, those of the given keys first; nil, the library's order, without keys.
func algorithmsFor(keys []ssh.PublicKey) []string {
	if len(keys) == 0 {
		return nil
	}
	var first []string
	for _, key := range keys {
		if key.Type() == ssh.KeyAlgoRSA {
			first = append(first, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			continue
		}
		first = append(first, key.Type())
	}
	rest := slices.DeleteFunc(ssh.SupportedAlgorithms().HostKeys, func(algorithm string) bool { return slices.Contains(first, algorithm) })
	return append(first, rest...)
}

// noKey is a public key equal to no other.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return nil }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

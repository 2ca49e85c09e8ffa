package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// keyring gathers the keys to log in with, and remembers where each came from for the error message.
type keyring struct {
	signers  []ssh.Signer
	tried    []string
	unusable []string
	agent    net.Conn
}

// keyring reads the key files and asks the agent. Closing the keyring is up to the caller, after the log-in.
func (c Config) keyring(ctx context.Context) *keyring {
	ring := &keyring{}
	for _, signer := range c.Signers {
		ring.add(signer, "a key held in memory")
	}
	var encrypted []ssh.PublicKey
	for _, file := range c.IdentityFiles {
		signer, public, err := readIdentity(file)
		switch {
		case signer != nil:
			ring.add(signer, file)
		case public != nil:
			encrypted = append(encrypted, public)
			ring.unusable = append(ring.unusable, fmt.Sprintf("%s (%v)", file, err))
		default:
			ring.unusable = append(ring.unusable, fmt.Sprintf("%s (%v)", file, err))
		}
	}
	ring.addAgent(ctx, c, encrypted)
	return ring
}

func (k *keyring) add(signer ssh.Signer, origin string) {
	for _, have := range k.signers {
		if sameKey(have.PublicKey(), signer.PublicKey()) {
			return
		}
	}
	k.signers = append(k.signers, signer)
	k.tried = append(k.tried, origin+" "+ssh.FingerprintSHA256(signer.PublicKey()))
}

func (k *keyring) addAgent(ctx context.Context, c Config, encrypted []ssh.PublicKey) {
	if c.AgentSocket == "" {
		return
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.AgentSocket)
	if err != nil {
		k.unusable = append(k.unusable, fmt.Sprintf("the agent (%v)", err))
		return
	}
	k.agent = conn
	client := agent.NewClient(conn)
	signers, err := client.Signers()
	if err != nil {
		k.unusable = append(k.unusable, fmt.Sprintf("the agent at %s (%v)", c.AgentSocket, err))
		return
	}
	for _, signer := range signers {
		if c.IdentitiesOnly && !containsKey(encrypted, signer.PublicKey()) {
			continue
		}
		k.add(signer, "agent")
	}
}

func (k *keyring) Close() error {
	if k.agent == nil {
		return nil
	}
	return k.agent.Close()
}

// readIdentity reads a private key file. An encrypted one gives its public half beside the error,
// taken from the file itself or from FILE.pub, so that the agent's copy of it can be told.
func readIdentity(file string) (ssh.Signer, ssh.PublicKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		// The key itself may live in the agent only, with its public half beside the name.
		return nil, readPublic(file + ".pub"), err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err == nil {
		return signer, nil, nil
	}
	var locked *ssh.PassphraseMissingError
	if !errors.As(err, &locked) {
		if public, _, _, _, notPublic := ssh.ParseAuthorizedKey(text); notPublic == nil {
			return nil, public, errors.New("only a public key: its private half must be in the agent")
		}
		return nil, nil, err
	}
	public := locked.PublicKey
	if public == nil {
		public = readPublic(file + ".pub")
	}
	return nil, public, errors.New("encrypted: add it to the agent with ssh-add")
}

// readPublic is the key of a .pub file, nil where there is none.
func readPublic(file string) ssh.PublicKey {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	return key
}

func containsKey(keys []ssh.PublicKey, key ssh.PublicKey) bool {
	for _, have := range keys {
		if sameKey(have, key) {
			return true
		}
	}
	return false
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

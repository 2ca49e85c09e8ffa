package cluster

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// keys are the two key pairs of a cluster: who it lets in, and what its nodes prove themselves with. They live and end
// with it.
type keys struct {
	client, host       ssh.Signer
	clientPEM, hostPEM string
}

func keyPaths(dir string) (client, host string) {
	return filepath.Join(dir, "ssh", "client_key"), filepath.Join(dir, "ssh", "host_key")
}

func makeKeys(dir string) (keys, error) {
	clientPath, hostPath := keyPaths(dir)
	if err := os.MkdirAll(filepath.Dir(clientPath), 0o700); err != nil {
		return keys{}, err
	}
	for _, path := range []string{clientPath, hostPath} {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return keys{}, fmt.Errorf("make an SSH key: %w", err)
		}
		block, err := ssh.MarshalPrivateKey(private, "faultline")
		if err != nil {
			return keys{}, fmt.Errorf("encode an SSH key: %w", err)
		}
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			return keys{}, err
		}
	}
	return readKeys(dir)
}

func readKeys(dir string) (k keys, err error) {
	clientPath, hostPath := keyPaths(dir)
	if k.client, k.clientPEM, err = readKey(clientPath); err != nil {
		return k, err
	}
	k.host, k.hostPEM, err = readKey(hostPath)
	return k, err
}

func readKey(path string) (ssh.Signer, string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return signer, string(text), nil
}

// authorizedKey is a key's line in an authorized_keys file.
func authorizedKey(k ssh.Signer) string { return string(ssh.MarshalAuthorizedKey(k.PublicKey())) }

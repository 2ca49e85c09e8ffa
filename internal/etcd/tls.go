package etcd

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/faultline/faultline/harness/control"
)

// TLS is what members and clients prove to each other who they are with. All of it is PEM. Clients and members without a
// certificate of the authority are refused.
type TLS struct {
	// CA is the authority of all certificates here, and of nothing else.
	CA []byte
	// Cert and Key are every member's, as a server and towards its peers. The certificate must be good for both uses, and name the
	// nodes' addresses, 127.0.0.1 and Options.Listen.
	Cert, Key []byte
	// ClientCert and ClientKey are the ones of Faultline's own questions and clients.
	ClientCert, ClientKey []byte
}

// config is how a client connects; nil where t is.
func (t *TLS) config() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	if _, err := tls.X509KeyPair(t.Cert, t.Key); err != nil {
		return nil, fmt.Errorf("etcd: the members' certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(t.ClientCert, t.ClientKey)
	if err != nil {
		return nil, fmt.Errorf("etcd: the clients' certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(t.CA) {
		return nil, errors.New("etcd: the authority has no certificate in PEM")
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// credentialsOf are grpc's for a client's configuration; plain text for nil.
func credentialsOf(c *tls.Config) credentials.TransportCredentials {
	if c == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(c)
}

// The members' files in the run's folder.
const (
	caFile   = "ca.pem"
	certFile = "member.pem"
	keyFile  = "member-key.pem"
)

// sendTLS puts the members' files on a node, for root's eyes only.
func (s *System) sendTLS(ctx context.Context, m *member) error {
	if s.o.TLS == nil {
		return nil
	}
	for name, text := range map[string][]byte{caFile: s.o.TLS.CA, certFile: s.o.TLS.Cert, keyFile: s.o.TLS.Key} {
		if err := m.node.Upload(ctx, bytes.NewReader(text), path.Join(s.dir(), name), 0o600); err != nil {
			return fmt.Errorf("etcd on %s: send %s: %w", m.node.Name(), name, err)
		}
	}
	return nil
}

// tlsArgs make a member use the files and demand certificates; none without TLS.
func (s *System) tlsArgs() []string {
	if s.o.TLS == nil {
		return nil
	}
	ca, cert, key := path.Join(s.dir(), caFile), path.Join(s.dir(), certFile), path.Join(s.dir(), keyFile)
	return []string{
		"--client-cert-auth=true", "--trusted-ca-file=" + ca, "--cert-file=" + cert, "--key-file=" + key,
		"--peer-client-cert-auth=true", "--peer-trusted-ca-file=" + ca, "--peer-cert-file=" + cert, "--peer-key-file=" + key,
	}
}

// url is an address of one of the members' servers.
func (s *System) url(hostport string) string {
	if s.o.TLS == nil {
		return "http://" + hostport
	}
	return "https://" + hostport
}

func (s *System) peerURL(m *member) string {
	return s.url(net.JoinHostPort(m.node.Addr(), strconv.Itoa(peerPort)))
}

// listenClients are the addresses that a member serves clients at: the node's, the one it is asked about its health at, and
// further ones.
func (s *System) listenClients(m *member) []string {
	urls := []string{s.url(m.clientAddr())}
	if m.adminAddr() != m.clientAddr() {
		urls = append(urls, s.url(m.adminAddr()))
	}
	for _, host := range s.o.Listen {
		urls = append(urls, s.url(net.JoinHostPort(host, strconv.Itoa(clientPort))))
	}
	return urls
}

// secured is a system whose clients need certificates.
type secured interface {
	clientTLS() *tls.Config
}

func (s *System) clientTLS() *tls.Config { return s.tls }

var _ secured = (*System)(nil)

// mkdirOwn makes the run's own folder, which must not exist.
func (s *System) mkdirOwn(ctx context.Context, m *member) error {
	if _, err := m.node.Run(ctx, control.Cmd{Args: []string{"mkdir", "-p", s.o.Dir}, Idempotent: true}); err != nil {
		return fmt.Errorf("etcd on %s: %w", m.node.Name(), err)
	}
	if _, err := m.node.Run(ctx, control.Cmd{Args: []string{"mkdir", "-m", "700", s.dir()}}); err != nil {
		return fmt.Errorf("etcd on %s: the run's own folder: %w", m.node.Name(), err)
	}
	return nil
}

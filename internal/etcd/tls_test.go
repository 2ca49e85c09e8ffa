package etcd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// testTLS are certificates for members at the given addresses.
func testTLS(t *testing.T, addrs ...string) *TLS {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	sign := func(c *x509.Certificate) (cert, key []byte) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if c == ca {
			k = caKey
		}
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &k.PublicKey, caKey)
		if err != nil {
			t.Fatal(err)
		}
		text, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
	}
	leaf := func(serial int64, hosts ...string) *x509.Certificate {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		for _, h := range hosts {
			c.IPAddresses = append(c.IPAddresses, net.ParseIP(h))
		}
		return c
	}
	out := &TLS{}
	out.CA, _ = sign(ca)
	out.Cert, out.Key = sign(leaf(2, addrs...))
	out.ClientCert, out.ClientKey = sign(leaf(3))
	return out
}

func mustConfig(t *testing.T, c *TLS) *tls.Config {
	t.Helper()
	config, err := c.config()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// A member with certificates serves at the further address, and nobody without them.
func TestTLSServesWhoHasACertificate(t *testing.T) {
	var further string
	var nodes []harness.Node
	s := startCluster(t, 2, func(o *Options) {
		further = o.Nodes[1].Addr()
		o.Nodes, o.Listen = o.Nodes[:1], []string{further}
		o.TLS = testTLS(t, o.Nodes[0].Addr(), further)
		nodes = o.Nodes
	})
	for node, args := range s.Commands() {
		if line := strings.Join(args, " "); strings.Contains(line, "http://") || !strings.Contains(line, "https://"+further+":2379") {
			t.Errorf("%s runs %s", node, line)
		}
	}
	if info, err := os.Stat(filepath.Join(nodes[0].(*localNode).dir, "etcd-test", keyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}

	open, err := NewRegisterClient(s, harness.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := open(t.Context(), 0, "n1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	write := history.Op{F: "write", Key: "x", Value: json.RawMessage("5")}
	eventually(t, 5*time.Second, "a write", func() error {
		if done := c.Invoke(t.Context(), write); done.Type != history.OK {
			return errors.New(done.Error)
		}
		return nil
	})

	for secure, config := range map[string]*tls.Config{"plain text": nil, "another authority": mustConfig(t, testTLS(t, further))} {
		other, err := dial("n1", further+":2379", config, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = call[*pb.RangeRequest, *pb.RangeResponse](t.Context(), other, other.kv.Range, &pb.RangeRequest{Key: []byte("x")})
		if err == nil {
			t.Errorf("a client with %s was served", secure)
		}
		other.close()
	}
	further1, err := dial("n1", further+":2379", s.clientTLS(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer further1.close()
	if _, _, err := call[*pb.RangeRequest, *pb.RangeResponse](t.Context(), further1, further1.kv.Range, &pb.RangeRequest{Key: []byte("x")}); err != nil {
		t.Errorf("at the further address: %v", err)
	}
}

// Peers find each other with certificates, and the system's own questions work.
func TestTLSBetweenPeers(t *testing.T) {
	s := startCluster(t, 3, func(o *Options) {
		o.TLS = testTLS(t, o.Nodes[0].Addr(), o.Nodes[1].Addr(), o.Nodes[2].Addr(), "127.0.0.1") // peers are known by where they come from
	})
	leader, err := s.Leader(t.Context())
	if err != nil || leader == "" {
		t.Errorf("leader %q, %v", leader, err)
	}
	if states, err := s.Members(t.Context()); err != nil || !settled(states) {
		t.Errorf("members %+v, %v", states, err)
	}
}

func TestTLSThatCannotWork(t *testing.T) {
	good := testTLS(t, "127.0.0.1")
	for want, change := range map[string]func(*TLS){
		"members' certificate": func(c *TLS) { c.Key = c.ClientKey },
		"clients' certificate": func(c *TLS) { c.ClientCert = nil },
		"the authority":        func(c *TLS) { c.CA = []byte("?") },
	} {
		bad := *good
		change(&bad)
		_, err := New(Options{Nodes: localNodes(t, 1), Binary: Binary{Path: "etcd"}, Token: "t", TLS: &bad})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

func TestVersionsAtRevisions(t *testing.T) {
	ctx := t.Context()
	s := startCluster(t, 1, nil)
	c, err := dial("n1", s.members[0].clientAddr(), nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	eventually(t, 5*time.Second, "a connection", func() error { return c.awaitReady(ctx) })
	for _, key := range []string{"/a/1", "/a/2", "/b/1", "/a/1"} { // revisions 2 to 5
		if _, err := c.kv.Put(ctx, &pb.PutRequest{Key: []byte(key)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("/a/2")}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		revision, at int64
		text         string
	}{
		{0, 6, `{"/a/1":5}`}, {6, 6, `{"/a/1":5}`}, {5, 5, `{"/a/1":5,"/a/2":3}`}, {4, 4, `{"/a/1":2,"/a/2":3}`}, {2, 2, `{"/a/1":2}`},
	} {
		got, at, err := s.Versions(ctx, "/a/", want.revision)
		text, _ := json.Marshal(got)
		if err != nil || at != want.at || string(text) != want.text {
			t.Errorf("at %d: %s at %d, %v; want %s at %d", want.revision, text, at, err, want.text, want.at)
		}
	}
	if all, _, err := s.VersionsOn(ctx, "n1", "", 0); err != nil || len(all) != 2 {
		t.Errorf("all keys: %v, %v", all, err)
	}
	if _, err := c.kv.Compact(ctx, &pb.CompactionRequest{Revision: 5}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Versions(ctx, "/a/", 3); !errors.Is(err, ErrCompacted) {
		t.Errorf("a compacted revision: %v", err)
	}
	if _, _, err := s.Versions(ctx, "/a/", 99); err == nil || errors.Is(err, ErrCompacted) {
		t.Errorf("a future revision: %v", err)
	}
}

package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/internal/etcd"
)

// Certificates are good from a day ago for ten years: nodes' clocks may be moved, and a kept cluster may stay for long.
const (
	validBefore = 24 * time.Hour
	validAfter  = 10 * 365 * 24 * time.Hour
)

// The range of addresses of services, and the first of them, which is the API servers'.
const (
	serviceRange = "10.96.0.0/16"
	serviceHost  = "10.96.0.1"
)

// pair is a certificate and its key, in PEM.
type pair struct{ cert, key []byte }

// pki is all that the parts of a run prove to each other who they are with. etcd has an authority of its own: nobody but the API
// servers, and Faultline, may talk to it.
type pki struct {
	ca, etcdCA *authority

	etcdMember, etcdClient, etcdAdmin pair

	servers  map[string]pair // the API servers', by node
	kubelets map[string]pair // by node
	manager  pair
	sched    pair
	admin    pair

	// tokens sign the service accounts' tokens; cert is the public key.
	tokens pair
}

// identity is a user as RBAC knows it, and how its clients call themselves.
type identity struct{ user, group string }

// The users of Kubernetes' own roles (pkg/apis/rbac bootstrap policy; the Node authorizer's form for kubelets).
var (
	adminUser     = identity{"faultline", "system:masters"}
	managerUser   = identity{"system:kube-controller-manager", ""}
	schedulerUser = identity{"system:kube-scheduler", ""}
)

func kubeletUser(node string) identity { return identity{"system:node:" + node, "system:nodes"} }

// makePKI makes everything anew.
func makePKI(at time.Time, nodes []harness.Node) (*pki, error) {
	p := &pki{servers: map[string]pair{}, kubelets: map[string]pair{}}
	var err error
	if p.ca, err = newAuthority("kubernetes-ca", at); err != nil {
		return nil, err
	}
	if p.etcdCA, err = newAuthority("etcd-ca", at); err != nil {
		return nil, err
	}
	members := []string{controlHost, etcdHost, "localhost"}
	for _, n := range nodes {
		members = append(members, n.Addr(), n.Name())
		hosts := []string{
			n.Addr(), n.Name(), "localhost", controlHost, kubeletHost, controllerHost, serviceHost,
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}
		if p.servers[n.Name()], err = p.ca.issue(identity{"kube-apiserver", ""}, hosts); err != nil {
			return nil, err
		}
		if p.kubelets[n.Name()], err = p.ca.issue(kubeletUser(n.Name()), nil); err != nil {
			return nil, err
		}
	}
	for _, w := range []struct {
		to    *pair
		by    *authority
		who   identity
		hosts []string
	}{
		{&p.etcdMember, p.etcdCA, identity{"etcd", ""}, members},
		{&p.etcdClient, p.etcdCA, identity{"kube-apiserver", ""}, nil},
		{&p.etcdAdmin, p.etcdCA, identity{"faultline", ""}, nil},
		{&p.manager, p.ca, managerUser, nil},
		{&p.sched, p.ca, schedulerUser, nil},
		{&p.admin, p.ca, adminUser, nil},
	} {
		if *w.to, err = w.by.issue(w.who, w.hosts); err != nil {
			return nil, err
		}
	}
	p.tokens, err = keyPair()
	return p, err
}

func (p *pki) etcdTLS() *etcd.TLS {
	return &etcd.TLS{
		CA: p.etcdCA.pem, Cert: p.etcdMember.cert, Key: p.etcdMember.key,
		ClientCert: p.etcdAdmin.cert, ClientKey: p.etcdAdmin.key,
	}
}

// authority signs certificates.
type authority struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	pem    []byte
	serial int64
}

func newAuthority(name string, at time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: at.Add(-validBefore), NotAfter: at.Add(validAfter),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", name, err)
	}
	return &authority{cert: cert, key: key, pem: pemOf("CERTIFICATE", der), serial: 1}, nil
}

// issue makes a certificate. With hosts (addresses and names) it is a server's, which may also be a client.
func (a *authority) issue(who identity, hosts []string) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	a.serial++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: who.user}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if who.group != "" {
		c.Subject.Organization = []string{who.group}
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	if len(hosts) > 0 {
		c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return pair{}, fmt.Errorf("certificate of %s: %w", who.user, err)
	}
	text, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return pair{}, fmt.Errorf("key of %s: %w", who.user, err)
	}
	return pair{pemOf("CERTIFICATE", der), pemOf("EC PRIVATE KEY", text)}, nil
}

// keyPair is a key without a certificate.
func keyPair() (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return pair{}, err
	}
	return pair{pemOf("PUBLIC KEY", public), pemOf("EC PRIVATE KEY", private)}, nil
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

package kube

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/internal/binaries"
	"github.com/faultline/faultline/internal/etcd"
	"github.com/faultline/faultline/internal/kube/install"
)

// paperNode is a node that only has a name and an address. What runs commands on it ends in a nil pointer.
type paperNode struct {
	harness.Node
	name, addr string
}

func (n paperNode) Name() string { return n.name }
func (n paperNode) Addr() string { return n.addr }
func (n paperNode) Dial(context.Context, string) (net.Conn, error) {
	return nil, errors.New("there is no such node")
}

func (n paperNode) Processes(context.Context) ([]control.ProcessState, error) {
	return nil, errors.New("there is no such node")
}

func paperNodes() []harness.Node {
	return []harness.Node{paperNode{name: "n1", addr: "10.0.0.11"}, paperNode{name: "n2", addr: "10.0.0.12"}, paperNode{name: "n3", addr: "10.0.0.13"}}
}

func paperOptions() Options {
	return Options{
		Nodes: paperNodes(), Token: "t", Etcd: etcd.Binary{Path: "etcd"},
		Binaries: install.Set{
			Version: "1.36.3", APIServer: binaries.Binary{Path: "a"}, ControllerManager: binaries.Binary{Path: "c"},
			Scheduler: binaries.Binary{Path: "s"}, Hollow: binaries.Binary{Path: "h"},
		},
	}
}

func paperSystem(t *testing.T, change func(*Options)) *System {
	t.Helper()
	o := paperOptions()
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOptionsThatCannotWork(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"no nodes":                          func(o *Options) { o.Nodes = nil },
		"n1 twice":                          func(o *Options) { o.Nodes = append(o.Nodes, o.Nodes[0]) },
		"no program for kubelet":            func(o *Options) { o.Binaries.Hollow.Path = "" },
		"no binary":                         func(o *Options) { o.Etcd.Path = "" },
		"name a folder":                     func(o *Options) { o.Token = "a/b" },
		"fast, stock, stress":               func(o *Options) { o.Profile = "quick" },
		"want local or all":                 func(o *Options) { o.Endpoints = "some" },
		`can't run without "etcd"`:          func(o *Options) { o.Without = []string{"etcd"} },
		`arguments for "kube-proxy"`:        func(o *Options) { o.Args = map[string][]string{"kube-proxy": {"--v=2"}} },
		"five heartbeats":                   func(o *Options) { o.Heartbeat = time.Second },
		"Gadget":                            func(o *Options) { o.Kinds = []string{"Gadget"} },
		"can't run without \"kube-apiserve": func(o *Options) { o.Without = []string{APIServer} },
	} {
		o := paperOptions()
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// What is asked before there are nodes.
func TestOutline(t *testing.T) {
	for _, c := range []struct {
		o          Options
		components string
		links      string
		movable    string
	}{
		{
			Options{},
			"etcd kube-apiserver kube-controller-manager kube-scheduler kubelet",
			"peer client apiserver-etcd@127.0.1.3 kubelet-apiserver@127.0.1.1 controller-apiserver@127.0.1.2", "kube-controller-manager kube-scheduler kubelet",
		},
		{
			Options{Without: []string{ControllerManager}, Endpoints: EndpointsAll},
			"etcd kube-apiserver kube-scheduler kubelet",
			"peer client apiserver-etcd@127.0.1.3+ kubelet-apiserver@127.0.1.1 controller-apiserver@127.0.1.2", "kube-scheduler kubelet",
		},
		{Options{Without: Removable()}, "etcd kube-apiserver", "peer client apiserver-etcd@127.0.1.3", ""},
	} {
		s, err := Outline(c.o)
		if err != nil {
			t.Fatal(err)
		}
		var links []string
		for _, l := range s.Links() {
			word := l.Name
			if l.Local != "" {
				word += "@" + l.Local
			}
			if l.Everywhere {
				word += "+"
			}
			links = append(links, word)
		}
		if got := strings.Join(s.Components(), " "); got != c.components {
			t.Errorf("%+v: components %s", c.o, got)
		}
		if got := strings.Join(links, " "); got != c.links {
			t.Errorf("%+v: links %s", c.o, got)
		}
		if got := strings.Join(s.Movable(), " "); got != c.movable || got != strings.Join(s.Writers(), " ") {
			t.Errorf("%+v: movable %s, writers %s", c.o, got, s.Writers())
		}
		if got := s.Companions(); (len(got) > 0) != slices.Contains(s.Components(), Kubelet) {
			t.Errorf("%+v: companions %s", c.o, got)
		}
	}
	var zero System
	if zero.Name() != "kube" || len(zero.Components()) != 5 || len(zero.Links()) != 5 || len(zero.Electing()) != 3 {
		t.Error("the zero value can't tell what it is")
	}
}

// Every certificate is good for what it is for, to those who know its authority, and for nobody else.
func TestCertificates(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p, err := makePKI(at, paperNodes())
	if err != nil {
		t.Fatal(err)
	}
	server, clientUse := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	for name, c := range map[string]struct {
		cert  []byte
		by    *authority
		not   *authority
		uses  []x509.ExtKeyUsage
		hosts []string
		who   identity
	}{
		"API server": {
			p.servers["n2"].cert, p.ca, p.etcdCA,
			[]x509.ExtKeyUsage{server},
			[]string{"10.0.0.12", "n2", "127.0.0.1", "127.0.1.1", "127.0.1.2", "10.96.0.1", "kubernetes.default.svc"},
			identity{"kube-apiserver", ""},
		},
		"etcd":               {p.etcdMember.cert, p.etcdCA, p.ca, []x509.ExtKeyUsage{server, clientUse}, []string{"10.0.0.11", "10.0.0.13", "127.0.0.1", "127.0.1.3"}, identity{"etcd", ""}},
		"API server of etcd": {p.etcdClient.cert, p.etcdCA, p.ca, []x509.ExtKeyUsage{clientUse}, nil, identity{"kube-apiserver", ""}},
		"kubelet":            {p.kubelets["n3"].cert, p.ca, p.etcdCA, []x509.ExtKeyUsage{clientUse}, nil, identity{"system:node:n3", "system:nodes"}},
		"controller manager": {p.manager.cert, p.ca, p.etcdCA, []x509.ExtKeyUsage{clientUse}, nil, identity{"system:kube-controller-manager", ""}},
		"scheduler":          {p.sched.cert, p.ca, p.etcdCA, []x509.ExtKeyUsage{clientUse}, nil, identity{"system:kube-scheduler", ""}},
		"administrator":      {p.admin.cert, p.ca, p.etcdCA, []x509.ExtKeyUsage{clientUse}, nil, identity{"faultline", "system:masters"}},
	} {
		block, _ := pem.Decode(c.cert)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if cert.Subject.CommonName != c.who.user || strings.Join(cert.Subject.Organization, "") != c.who.group {
			t.Errorf("%s is %v", name, cert.Subject)
		}
		for _, use := range c.uses {
			for _, days := range []int{-1, 0, 365, 3649} {
				o := x509.VerifyOptions{Roots: pool(c.by), KeyUsages: []x509.ExtKeyUsage{use}, CurrentTime: at.AddDate(0, 0, days).Add(time.Minute)}
				if _, err := cert.Verify(o); err != nil {
					t.Errorf("%s on day %d: %v", name, days, err)
				}
			}
		}
		for _, days := range []int{-2, 3651} {
			o := x509.VerifyOptions{Roots: pool(c.by), KeyUsages: c.uses, CurrentTime: at.AddDate(0, 0, days)}
			if _, err := cert.Verify(o); err == nil {
				t.Errorf("%s is good on day %d", name, days)
			}
		}
		if _, err := cert.Verify(x509.VerifyOptions{Roots: pool(c.not), KeyUsages: c.uses, CurrentTime: at}); err == nil {
			t.Errorf("%s is good by the other authority", name)
		}
		if len(c.hosts) == 0 && slices.Contains(cert.ExtKeyUsage, server) {
			t.Errorf("%s may be a server", name)
		}
		for _, h := range c.hosts {
			if err := cert.VerifyHostname(h); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := cert.VerifyHostname("10.0.0.99"); err == nil {
			t.Errorf("%s is good anywhere", name)
		}
	}
	for name, text := range map[string][]byte{"public": p.tokens.cert, "private": p.tokens.key} {
		if block, rest := pem.Decode(text); block == nil || len(rest) > 0 {
			t.Errorf("the %s key of tokens: %q", name, text)
		}
	}
}

func pool(a *authority) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func TestKubeconfigs(t *testing.T) {
	s := paperSystem(t, nil)
	config, err := clientcmd.Load(s.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(config.Contexts)); !slices.Equal(got, []string{"n1", "n2", "n3"}) || config.CurrentContext != "n1" {
		t.Errorf("contexts %v, current %s", got, config.CurrentContext)
	}
	if err := clientcmd.Validate(*config); err != nil {
		t.Error(err)
	}
	if c := config.Clusters["n2"]; c.Server != "https://10.0.0.12:6443" || string(c.CertificateAuthorityData) != string(s.pki.ca.pem) {
		t.Errorf("%+v", c)
	}
	if u := config.AuthInfos["admin"]; string(u.ClientCertificateData) != string(s.pki.admin.cert) || string(u.ClientKeyData) != string(s.pki.admin.key) {
		t.Errorf("%+v", u)
	}

	// A node's own: by loopback to its server, by address to the others'.
	files := s.secrets(s.node("n2"))
	for name, want := range map[string]string{
		"kubelet@n2.kubeconfig": "https://127.0.1.1:6443", "kubelet@n3.kubeconfig": "https://10.0.0.13:6443",
		"kube-scheduler@n2.kubeconfig": "https://127.0.1.2:6443", "kube-controller-manager@n1.kubeconfig": "https://10.0.0.11:6443",
	} {
		config, err := clientcmd.RESTConfigFromKubeConfig(files[name])
		if err != nil || config.Host != want {
			t.Errorf("%s: %+v, %v", name, config, err)
		}
	}
	if string(files["apiserver.pem"]) != string(s.pki.servers["n2"].cert) || files["apiserver-key.pem"] == nil || files["admin.kubeconfig"] != nil {
		t.Errorf("files %v", slices.Sorted(maps.Keys(files)))
	}
	archive, err := tarOf(files)
	if err != nil || len(archive) < 10_000 {
		t.Errorf("%d bytes, %v", len(archive), err)
	}
}

// arguments of a process of n2, without the program.
func argsOf(s *System, name string) string {
	for _, p := range s.started() {
		if p.name == name {
			return " " + strings.Join(s.arguments(s.node("n2"), p)[1:], " ") + " "
		}
	}
	return ""
}

func TestArguments(t *testing.T) {
	with := func(change func(*Options)) *System { return paperSystem(t, change) }
	fast := with(nil)
	stock := with(func(o *Options) { o.Profile = ProfileStock })
	all := with(func(o *Options) { o.Endpoints = EndpointsAll })
	gated := with(func(o *Options) {
		o.FeatureGates = "A=true,B=false"
		o.Args = map[string][]string{Scheduler: {"--v=4"}, APIServer: {"--anonymous-auth=true"}}
	})
	for _, c := range []struct {
		s       *System
		process string
		want    []string
		not     []string
	}{
		{fast, APIServer, []string{
			"--etcd-servers=https://127.0.1.3:2379 ", "--advertise-address=10.0.0.12", "--authorization-mode=Node,RBAC", "NodeRestriction",
			"--default-not-ready-toleration-seconds=2 ", "--default-unreachable-toleration-seconds=2 ", "--tls-cert-file=/var/opt/faultline/kube-t/apiserver.pem",
		}, []string{"feature-gates", "AlwaysAllow"}},
		{all, APIServer, []string{"--etcd-servers=https://127.0.1.3:2379,https://10.0.0.11:2379,https://10.0.0.13:2379 "}, nil},
		{stock, APIServer, []string{"--etcd-servers"}, []string{"toleration"}},
		{fast, ControllerManager, []string{
			"--leader-elect-lease-duration=4s ", "--leader-elect-renew-deadline=3s ", "--leader-elect-retry-period=1s ", "--node-monitor-grace-period=8s ",
			"--use-service-account-credentials=true ", "--kubeconfig=/var/opt/faultline/kube-t/kube-controller-manager@n2.kubeconfig ",
		}, nil},
		{stock, ControllerManager, []string{"--leader-elect=true "}, []string{"lease-duration", "grace", "qps", "eviction"}},
		{stock, Kubelet, []string{" kubelet --name=n2 --node-ip=10.0.0.12 "}, []string{"lease-seconds", "frequency"}},
		{fast, Kubelet, []string{"--lease-seconds=8 ", "--status-frequency=2s ", "--root-dir=/var/opt/faultline/kube-t/kubelet "}, nil},
		{fast, Runtime, []string{" runtime --socket=/var/opt/faultline/kube-t/runtime.sock ", "--id-range=2 "}, nil},
		{gated, Scheduler, []string{"--feature-gates=A=true,B=false --v=4 "}, nil},
		{gated, APIServer, []string{"--feature-gates=A=true,B=false --anonymous-auth=true "}, nil},
		{gated, Kubelet, []string{"--feature-gates=A=true,B=false "}, []string{"--v=4"}},
		{gated, Runtime, []string{"runtime"}, []string{"feature-gates"}},
	} {
		line := argsOf(c.s, c.process)
		for _, want := range c.want {
			if !strings.Contains(line, want) {
				t.Errorf("%s: no %q in%s", c.process, want, line)
			}
		}
		for _, not := range c.not {
			if strings.Contains(line, not) {
				t.Errorf("%s: %q in%s", c.process, not, line)
			}
		}
	}
	if got := with(func(o *Options) { o.Without = []string{Kubelet} }); argsOf(got, Runtime) != "" || argsOf(got, Kubelet) != "" {
		t.Error("a runtime without a kubelet")
	}
}

func TestMovedComponentUsesAnotherServer(t *testing.T) {
	s := paperSystem(t, nil)
	for _, c := range [][3]string{{"n9", Kubelet, "n1"}, {"n1", Kubelet, "n9"}, {"n1", APIServer, "n2"}, {"n1", Kubelet, "n2"}} {
		if err := s.Move(t.Context(), c[0], c[1], c[2]); err == nil {
			t.Errorf("moved %v", c)
		}
	}
	n := s.node("n1")
	n.server[Kubelet] = "n3"
	if args := s.arguments(n, process{Kubelet, Kubelet, true, (*System).kubeletArgs}); !slices.Contains(args, "--kubeconfig=/var/opt/faultline/kube-t/kubelet@n3.kubeconfig") {
		t.Error(args)
	}
	if s.node("n2").serverOf(Kubelet) != "n2" || n.serverOf(Scheduler) != "n1" {
		t.Error("others moved too")
	}
}

func TestSystemThatWasNeverStarted(t *testing.T) {
	s := paperSystem(t, nil)
	if err := s.StartComponent(t.Context(), "n1", Kubelet); err == nil || !strings.Contains(err.Error(), "never started") {
		t.Error(err)
	}
	if err := s.StartComponent(t.Context(), "n1", "kube-proxy"); err == nil {
		t.Error("started what is not there")
	}
	if ops, err := s.LogEvidence(t.Context()); err != nil || len(ops) > 0 {
		t.Error(ops, err)
	}
	if logs, err := s.RuntimeLogs(t.Context()); err != nil || len(logs) > 0 {
		t.Error(logs, err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.Server("n9", true); err == nil {
		t.Error("a server on no node")
	}
	if server, err := s.Server("n2", false); err != nil || server.Addr != "10.0.0.12:6443" || server.Dial != nil {
		t.Errorf("%+v, %v", server, err)
	}
	_, err := s.LeaderOf(t.Context(), Kubelet)
	if err == nil || !strings.Contains(err.Error(), "elects no leader") {
		t.Error(err)
	}
}

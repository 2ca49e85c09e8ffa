// Package kube is Kubernetes' control plane as a system under test: on every node etcd, an API server, a controller manager, a
// scheduler, and a kubelet over a container runtime that runs nothing. It makes the certificates, starts everything, and tells who leads, how far
// caches are behind and what is not well.
//
// A node's own processes reach its servers at loopback addresses, one for each link, so that links can be cut apart from each other;
// see Links. 127.0.0.1 is for Faultline itself, through the control connection: its questions meet no fault.
package kube

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/internal/etcd"
	"github.com/faultline/faultline/internal/kube/api"
	"github.com/faultline/faultline/internal/kube/install"
	"github.com/faultline/faultline/internal/kube/observe"
)

// The components, and the process beside them that holds a node's containers: it outlives a kubelet, and is started and ended
// with the node only.
const (
	APIServer         = install.APIServer
	ControllerManager = install.ControllerManager
	Scheduler         = install.Scheduler
	Kubelet           = install.Kubelet
	Runtime           = "runtime"
)

// Components are all components, in the order in which they are started.
func Components() []string {
	return []string{etcd.Component, APIServer, ControllerManager, Scheduler, Kubelet}
}

// Removable are the components that Options.Without may have: the clients of the API server.
func Removable() []string {
	var out []string
	for _, c := range clients {
		out = append(out, c.name)
	}
	return out
}

// The loopback addresses at which a node's processes reach its servers, and their ports.
const (
	kubeletHost    = "127.0.1.1" // the kubelet to the API server
	controllerHost = "127.0.1.2" // the controller manager and the scheduler to the API server
	etcdHost       = "127.0.1.3" // the API server to etcd
	controlHost    = "127.0.0.1" // Faultline to either
	apiPort        = 6443
	etcdPort       = 2379
	peerPort       = 2380
)

// The etcd members that an API server uses.
const (
	EndpointsLocal = "local" // its node's
	EndpointsAll   = "all"   // all; its node's first
)

// Options say what to run and where.
type Options struct {
	// Nodes get one of each component.
	Nodes []harness.Node
	// Binaries are what runs, on the driver, and Etcd beneath it.
	Binaries install.Set
	Etcd     etcd.Binary
	// Token is unique for the run; the folder on the nodes bears it.
	Token string
	// Dir is the folder on the nodes under which the run gets its own; default /var/opt/faultline.
	Dir string
	// Profile is one of Profiles; default the first.
	Profile string
	// EtcdArgs are further arguments of etcd, Args of the components, by name; they win over the ones that the profile sets.
	EtcdArgs []string
	Args     map[string][]string
	// FeatureGates are set for every component of Kubernetes: A=true,B=false.
	FeatureGates string
	// Without are components that are not run, of Removable.
	Without []string
	// Endpoints is local (the default) or all.
	Endpoints string
	// Heartbeat and Election are etcd's intervals; default 100 ms and 1 s.
	Heartbeat, Election time.Duration
	// StartTimeout bounds how long everything may take to become healthy in Start, from when the programs are in place; default 3 min.
	StartTimeout time.Duration
	// Kinds are the kinds of object that are observed; nil: those that observe takes by itself.
	Kinds []string
}

// System is a control plane. It implements harness.System, Leader, ComponentLeader, Membership, Caches, Mover, WriteWatcher, Churner,
// Converger and Observer, and api.Servers. Safe for concurrent use. One made by Outline, and the zero value, can tell name, components and links,
// and nothing else.
type System struct {
	o       Options
	profile profile
	etcd    *etcd.System
	pki     *pki
	nodes   []*node
	seen    revisions

	observer *observe.Observer

	mu sync.Mutex
	// churned is how many objects Churn has made.
	churned int
}

// node is one node and what runs on it.
type node struct {
	harness.Node
	// number counts from 1.
	number int
	// control is the way to its API server for Faultline itself.
	control *api.Client

	mu sync.Mutex
	// made: the run's folder is there, and so there is something to stop and to remove.
	made bool
	// hostname is the machine's own, which components name themselves by.
	hostname string
	// server is the node whose API server a moved component uses, by component.
	server map[string]string
	// commands are what was started, by process.
	commands map[string][]string
}

var (
	_ harness.System          = (*System)(nil)
	_ harness.Leader          = (*System)(nil)
	_ harness.ComponentLeader = (*System)(nil)
	_ harness.Membership      = (*System)(nil)
	_ harness.Caches          = (*System)(nil)
	_ harness.Mover           = (*System)(nil)
	_ harness.WriteWatcher    = (*System)(nil)
	_ harness.Churner         = (*System)(nil)
	_ harness.Companions      = (*System)(nil)
	_ api.Servers             = (*System)(nil)
)

// Outline is a system without nodes, programs and token, to ask for its components and links before there are any. It refuses
// other options that can't work.
func Outline(o Options) (*System, error) {
	setDefault(&o.Dir, "/var/opt/faultline")
	setDefault(&o.Profile, Profiles()[0])
	setDefault(&o.Endpoints, EndpointsLocal)
	setDefault(&o.Heartbeat, 100*time.Millisecond)
	setDefault(&o.Election, time.Second)
	setDefault(&o.StartTimeout, 3*time.Minute)
	p, err := profileOf(o.Profile)
	if err != nil {
		return nil, err
	}
	if o.Endpoints != EndpointsLocal && o.Endpoints != EndpointsAll {
		return nil, fmt.Errorf("kube: etcd endpoints %q: want %s or %s", o.Endpoints, EndpointsLocal, EndpointsAll)
	}
	for _, c := range o.Without {
		if !slices.Contains(Removable(), c) {
			return nil, fmt.Errorf("kube: it can't run without %q; only without %s", c, strings.Join(Removable(), ", "))
		}
	}
	for c := range o.Args {
		if !slices.Contains(Components(), c) {
			return nil, fmt.Errorf("kube: arguments for %q: there are %s", c, strings.Join(Components(), ", "))
		}
	}
	return &System{o: o, profile: p}, nil
}

// New makes a control plane that is not started, and its certificates. It refuses options that can't work.
func New(o Options) (*System, error) {
	s, err := Outline(o)
	if err != nil {
		return nil, err
	}
	for c, file := range s.files() {
		if file == "" && !slices.Contains(s.o.Without, c) {
			return nil, fmt.Errorf("kube: no program for %s", c)
		}
	}
	if s.pki, err = makePKI(now(), o.Nodes); err != nil {
		return nil, fmt.Errorf("kube: make the certificates: %w", err)
	}
	s.etcd, err = etcd.New(etcd.Options{
		Nodes: o.Nodes, Binary: o.Etcd, Token: o.Token, Dir: s.o.Dir, Profile: s.profile.etcd,
		Args:      slices.Concat(o.EtcdArgs, o.Args[etcd.Component]),
		Heartbeat: s.o.Heartbeat, Election: s.o.Election, StartTimeout: s.o.StartTimeout,
		TLS: s.pki.etcdTLS(), Listen: []string{etcdHost},
	})
	if err != nil {
		return nil, err
	}
	for i, n := range o.Nodes {
		m := &node{Node: n, number: i + 1, server: map[string]string{}, commands: map[string][]string{}}
		m.control, err = api.Connect(s.serverOf(m, true), api.Options{Timeout: askTimeout})
		if err != nil {
			return nil, err
		}
		s.nodes = append(s.nodes, m)
	}
	s.observer, err = s.newObserver()
	return s, err
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Name is kube.
func (s *System) Name() string { return "kube" }

// Components are the ones that run: all less Options.Without.
func (s *System) Components() []string {
	return slices.DeleteFunc(Components(), func(c string) bool { return slices.Contains(s.o.Without, c) })
}

// Links are the members' of etcd with each other, the clients', and those within each node.
func (s *System) Links() []harness.Link {
	links := []harness.Link{
		{Name: "peer", Ports: []int{peerPort}},
		{Name: "client", Ports: []int{apiPort}, Outside: true},
		{Name: LinkEtcd, Ports: []int{etcdPort}, Local: etcdHost, Everywhere: s.o.Endpoints == EndpointsAll},
	}
	if s.runs(Kubelet) {
		links = append(links, harness.Link{Name: LinkKubelet, Ports: []int{apiPort}, Local: kubeletHost})
	}
	if s.runs(ControllerManager) || s.runs(Scheduler) {
		links = append(links, harness.Link{Name: LinkController, Ports: []int{apiPort}, Local: controllerHost})
	}
	return links
}

// The links within a node.
const (
	LinkEtcd       = "apiserver-etcd"
	LinkKubelet    = "kubelet-apiserver"
	LinkController = "controller-apiserver"
)

// runs tells whether a component is part of the system.
func (s *System) runs(component string) bool { return slices.Contains(s.Components(), component) }

// Leader is the node on which etcd's leader is.
func (s *System) Leader(ctx context.Context) (string, error) { return s.etcd.Leader(ctx) }

// Server is how to reach a node's API server as an administrator.
func (s *System) Server(name string, control bool) (api.Server, error) {
	n := s.node(name)
	if n == nil {
		return api.Server{}, fmt.Errorf("kube: no API server on node %s", name)
	}
	return s.serverOf(n, control), nil
}

// Kubeconfig is an administrator's, with a context for each node's API server, as kubectl reads it.
func (s *System) Kubeconfig() []byte {
	var servers []namedServer
	for _, n := range s.nodes {
		servers = append(servers, namedServer{n.Name(), n.Addr()})
	}
	return kubeconfig(s.pki.ca.pem, s.pki.admin, "admin", servers...)
}

func (s *System) node(name string) *node {
	for _, n := range s.nodes {
		if n.Name() == name {
			return n
		}
	}
	return nil
}

// each calls f for every node at once and returns all errors.
func (s *System) each(f func(*node) error) error {
	errs := make([]error, len(s.nodes))
	var g errgroup.Group
	for i, n := range s.nodes {
		g.Go(func() error { errs[i] = f(n); return nil })
	}
	_ = g.Wait() // every f's error is in errs
	return errors.Join(errs...)
}

func (s *System) dir() string                { return path.Join(s.o.Dir, "kube-"+s.o.Token) }
func (s *System) file(name string) string    { return path.Join(s.dir(), name) }
func (s *System) logFile(name string) string { return path.Join(s.dir(), name+".log") }

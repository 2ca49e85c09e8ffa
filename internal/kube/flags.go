package kube

import (
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faultline/faultline/harness"
)

// restartDelay is how long the supervisor waits before it starts a component again that ended by itself. Controller managers and schedulers do when
// they lose their lease, API servers when their etcd is gone at the start.
const restartDelay = time.Second

// process is what runs on each node beside etcd.
type process struct {
	name string
	// component is the one that it belongs to: without that it does not run.
	component string
	// restart: the supervisor starts it again when it ends by itself.
	restart bool
	args    func(s *System, n *node) []string
}

// processes is the table of them, in the order of their start.
var processes = []process{
	{APIServer, APIServer, true, (*System).apiServerArgs},
	{ControllerManager, ControllerManager, true, (*System).managerArgs},
	{Scheduler, Scheduler, true, (*System).schedulerArgs},
	{Runtime, Kubelet, false, (*System).runtimeArgs},
	{Kubelet, Kubelet, true, (*System).kubeletArgs},
}

// files are the programs on the driver, by process.
func (s *System) files() map[string]string {
	b := s.o.Binaries
	return map[string]string{
		APIServer: b.APIServer.Path, ControllerManager: b.ControllerManager.Path, Scheduler: b.Scheduler.Path, Kubelet: b.Hollow.Path,
	}
}

// started are the processes of this system.
func (s *System) started() []process {
	return slices.DeleteFunc(slices.Clone(processes), func(p process) bool { return !s.runs(p.component) })
}

// program is where a process's program is on a node: a link that has the component's name, since components tell the API server
// who they are by the name of their program.
func (s *System) program(name string) string { return path.Join(s.dir(), "bin", name) }

// arguments is the command line of a process. The user's are last, so that they win.
func (s *System) arguments(n *node, p process) []string {
	args := append([]string{s.program(p.name)}, p.args(s, n)...)
	if p.name != Runtime {
		args = append(args, flagsOf("feature-gates", s.o.FeatureGates)...)
		args = append(args, s.o.Args[p.component]...)
	}
	return args
}

func (s *System) apiServerArgs(n *node) []string {
	return slices.Concat([]string{
		"--etcd-servers=" + strings.Join(s.etcdServers(n), ","),
		"--etcd-cafile=" + s.file("etcd-ca.pem"), "--etcd-certfile=" + s.file("etcd-client.pem"), "--etcd-keyfile=" + s.file("etcd-client-key.pem"),
		"--advertise-address=" + n.Addr(), "--bind-address=0.0.0.0", "--secure-port=" + strconv.Itoa(apiPort),
		"--tls-cert-file=" + s.file("apiserver.pem"), "--tls-private-key-file=" + s.file("apiserver-key.pem"), "--client-ca-file=" + s.file("ca.pem"),
		"--cert-dir=" + s.dir(), "--anonymous-auth=false",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + s.file("tokens.pem"), "--service-account-signing-key-file=" + s.file("tokens-key.pem"),
		"--service-cluster-ip-range=" + serviceRange, "--endpoint-reconciler-type=lease", "--profiling=false",
	}, flagsOf(
		"default-not-ready-toleration-seconds", int(s.profile.toleration.Seconds()),
		"default-unreachable-toleration-seconds", int(s.profile.toleration.Seconds()),
	))
}

// etcdServers are the members that a node's API server uses, its own first.
func (s *System) etcdServers(n *node) []string {
	servers := []string{etcdURL(etcdHost)}
	if s.o.Endpoints == EndpointsLocal {
		return servers
	}
	for _, other := range s.nodes {
		if other != n {
			servers = append(servers, etcdURL(other.Addr()))
		}
	}
	return servers
}

func etcdURL(host string) string { return "https://" + net.JoinHostPort(host, strconv.Itoa(etcdPort)) }

func (s *System) managerArgs(n *node) []string {
	p := s.profile
	return slices.Concat([]string{
		"--kubeconfig=" + s.kubeconfigFile(n, ControllerManager),
		"--use-service-account-credentials=true", "--service-account-private-key-file=" + s.file("tokens-key.pem"), "--root-ca-file=" + s.file("ca.pem"),
		"--bind-address=" + controlHost, "--cert-dir=" + s.dir(), "--profiling=false", "--leader-elect=true",
	}, p.election(), flagsOf(
		"node-monitor-grace-period", p.monitorGrace, "node-monitor-period", p.monitorPeriod, "node-eviction-rate", p.evictions,
		"kube-api-qps", p.managerRate, "kube-api-burst", 2*p.managerRate, "resource-quota-sync-period", p.quotaSync,
	))
}

func (s *System) schedulerArgs(n *node) []string {
	return slices.Concat([]string{
		"--kubeconfig=" + s.kubeconfigFile(n, Scheduler),
		"--bind-address=" + controlHost, "--cert-dir=" + s.dir(), "--profiling=false", "--leader-elect=true",
	}, s.profile.election())
}

func (s *System) runtimeArgs(n *node) []string {
	return []string{"runtime", "--socket=" + s.file("runtime.sock"), "--log=" + s.runtimeLog(), "--id-range=" + strconv.Itoa(n.number)}
}

func (s *System) kubeletArgs(n *node) []string {
	p := s.profile
	return slices.Concat([]string{
		"kubelet", "--name=" + n.Name(), "--node-ip=" + n.Addr(), "--kubeconfig=" + s.kubeconfigFile(n, Kubelet),
		"--runtime-socket=" + s.file("runtime.sock"), "--root-dir=" + s.file("kubelet"),
	}, flagsOf("lease-seconds", int(p.nodeLease.Seconds()), "status-frequency", p.nodeStatus, "sync-frequency", p.podSync))
}

// runtimeLog is what the container runtime writes about its containers, beside its own log.
func (s *System) runtimeLog() string { return s.file("runtime.events") }

// client is who a component is towards the API server, and at which address its node's server is for it.
type client struct {
	name string // the component's
	host string
	user func(n harness.Node) identity
	pair func(p *pki, n harness.Node) pair
}

// clients are the components that are clients of the API server: those that can be left out, be moved to another one, and be told by their writes.
var clients = []client{
	{
		ControllerManager, controllerHost, func(harness.Node) identity { return managerUser },
		func(p *pki, _ harness.Node) pair { return p.manager },
	},
	{
		Scheduler, controllerHost, func(harness.Node) identity { return schedulerUser },
		func(p *pki, _ harness.Node) pair { return p.sched },
	},
	{
		Kubelet, kubeletHost, func(n harness.Node) identity { return kubeletUser(n.Name()) },
		func(p *pki, n harness.Node) pair { return p.kubelets[n.Name()] },
	},
}

// runningClients are the names of those that are part of this system.
func (s *System) runningClients() []string {
	return slices.DeleteFunc(Removable(), func(c string) bool { return !s.runs(c) })
}

// kubeconfigFile is the one that a component uses on a node now.
func (s *System) kubeconfigFile(n *node, component string) string {
	return s.file(kubeconfigName(component, n.serverOf(component)))
}

// kubeconfigName is the file for a component that uses the API server of a node.
func kubeconfigName(component, server string) string { return component + "@" + server + ".kubeconfig" }

// serverOf is the node whose API server a component uses; its own unless it was moved.
func (n *node) serverOf(component string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if other := n.server[component]; other != "" {
		return other
	}
	return n.Name()
}

// kubeconfigs are the files for a component of a node: one for each server.
func (s *System) kubeconfigs(n *node, c client) map[string][]byte {
	out := map[string][]byte{}
	for _, server := range s.nodes {
		host := server.Addr()
		if server == n {
			host = c.host
		}
		out[kubeconfigName(c.name, server.Name())] = kubeconfig(s.pki.ca.pem, c.pair(s.pki, n), c.user(n).user, namedServer{server.Name(), host})
	}
	return out
}

// secrets are the files of a node: certificates, keys and kubeconfigs.
func (s *System) secrets(n *node) map[string][]byte {
	p := s.pki
	out := map[string][]byte{
		"ca.pem": p.ca.pem, "etcd-ca.pem": p.etcdCA.pem,
		"etcd-client.pem": p.etcdClient.cert, "etcd-client-key.pem": p.etcdClient.key,
		"apiserver.pem": p.servers[n.Name()].cert, "apiserver-key.pem": p.servers[n.Name()].key,
		"tokens.pem": p.tokens.cert, "tokens-key.pem": p.tokens.key,
	}
	for _, c := range clients {
		if s.runs(c.name) {
			for name, text := range s.kubeconfigs(n, c) {
				out[name] = text
			}
		}
	}
	return out
}

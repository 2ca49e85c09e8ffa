package kube

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline/faultline/internal/etcd"
)

// profile is a set of times. Zero ones are left to the components' own defaults.
type profile struct {
	name string
	// lease, renew and retry are the leader elections' of the controller manager and the scheduler.
	lease, renew, retry time.Duration
	// monitorGrace is how long a node may be silent before it is held to be dead, which is looked at every monitorPeriod. Nodes that
	// died are then dealt with at evictions a second.
	monitorGrace, monitorPeriod time.Duration
	evictions                   float64
	// toleration is how long pods stay on a node that is held to be dead.
	toleration time.Duration
	// managerRate is how many requests a second the controller manager may make; twice as many at once. With what it takes by itself (20)
	// it needs five seconds to begin.
	managerRate int
	// nodeLease and nodeStatus are how the kubelet tells that it lives.
	nodeLease, nodeStatus time.Duration
	// podSync is the longest time between two looks of the kubelet at a pod.
	podSync time.Duration
	// quotaSync is how often quotas are counted anew: the admission of an object that then could not be stored leaves one counted too high
	// until then.
	quotaSync time.Duration
	// settle is how long what is observed gets to match what is declared, and hold how long it must then match without a break. Settle is longer than
	// anything of the profile above; not than the longest back-off of a work queue (1000 s), and so to be later proves nothing by itself.
	settle, hold time.Duration
	// etcd is etcd's profile.
	etcd string
}

// The profiles: fast finds out about a death in seconds, so that a run of a minute has many; stock is what Kubernetes does
// by itself; stress is fast over etcd's stress.
const (
	ProfileFast   = "fast"
	ProfileStock  = "stock"
	ProfileStress = "stress"
)

// fast is what the fast and the stress profile share.
var fast = profile{
	lease: 4 * time.Second, renew: 3 * time.Second, retry: time.Second,
	monitorGrace: 8 * time.Second, monitorPeriod: 2 * time.Second, evictions: 1,
	toleration: 2 * time.Second, managerRate: 200,
	nodeLease: 8 * time.Second, nodeStatus: 2 * time.Second,
	podSync: 10 * time.Second, quotaSync: 10 * time.Second,
	settle: 2 * time.Minute, hold: 6 * time.Second,
}

// profiles is the table of them, the default first.
func profiles() []profile {
	quick, stress := fast, fast
	quick.name, quick.etcd = ProfileFast, etcd.ProfileStock
	stress.name, stress.etcd = ProfileStress, etcd.ProfileStress
	return []profile{quick, {name: ProfileStock, etcd: etcd.ProfileStock, settle: 10 * time.Minute, hold: 15 * time.Second}, stress}
}

// Profiles are the names that Options.Profile may have, the default first.
func Profiles() []string {
	var names []string
	for _, p := range profiles() {
		names = append(names, p.name)
	}
	return names
}

// Settle is how long a profile gives what is observed to match what is declared, and how long it must then match without a break; 0 for
// a name that is none.
func Settle(name string) (within, hold time.Duration) {
	p, err := profileOf(name)
	if err != nil {
		return 0, 0
	}
	return p.settle, p.hold
}

func profileOf(name string) (profile, error) {
	all := profiles()
	i := slices.IndexFunc(all, func(p profile) bool { return p.name == name })
	if i < 0 {
		return profile{}, fmt.Errorf("kube: unknown profile %q (want %s)", name, strings.Join(Profiles(), ", "))
	}
	return all[i], nil
}

// election are a component's flags for its leader election.
func (p profile) election() []string {
	return flagsOf(
		"leader-elect-lease-duration", p.lease, "leader-elect-renew-deadline", p.renew, "leader-elect-retry-period", p.retry)
}

// flagsOf turns names and values into arguments, and leaves out those without a value.
func flagsOf(namesAndValues ...any) []string {
	var out []string
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		value := fmt.Sprint(namesAndValues[i+1])
		if value == "" || value == "0" || value == "0s" {
			continue
		}
		out = append(out, fmt.Sprintf("--%s=%s", namesAndValues[i], value))
	}
	return out
}

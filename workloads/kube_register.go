package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/internal/kube/collections"
)

// viewModels are what reads of API servers may be held to, the promise of a quorum read first.
var viewModels = []string{checker.ModelLinearizable, checker.ModelCached}

// kubeRegister is etcd's register over ConfigMaps: a write creates the object or replaces it, a compare-and-set replaces the very version that it
// read. See register for the operations.
func kubeRegister() Workload {
	return Workload{
		Name: "kube/register", Doc: "read, write and compare-and-set over ConfigMaps, by quorum reads, lists, or from the servers' caches",
		Reads: collections.RegisterReads(), Models: viewModels, Minimum: enough,
		New: register, Clients: collections.NewRegisterClient, Defaults: Defaults{Rate: 150},
	}
}

// kubeSet is unique objects made under a label, and listed. See set for the operations.
func kubeSet() Workload {
	return Workload{
		Name: "kube/set", Doc: "unique objects created under a label, and listed",
		Reads: collections.SetReads(), Models: viewModels, Minimum: enough,
		New: set, Clients: collections.NewSetClient, Defaults: Defaults{Rate: 100, Keys: 5, OpsPerKey: 200},
	}
}

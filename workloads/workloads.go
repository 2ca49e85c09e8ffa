package workloads

import (
	"errors"
	"fmt"
	"slices"

	"github.com/agnivade/levenshtein"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/internal/etcd"
)

// enough is what a run must have exercised at least. It is low on purpose: it tells a run that tested nothing
// from one that tested little, and says how much that was.
var enough = checker.Minimum{OK: 100, ContendedKeys: 1, ReadsDuring: 5, ReadsAfter: 5}

// Workloads are all there are.
var Workloads = []Workload{
	{
		Name:    "etcd/register",
		Doc:     "read, write and compare-and-set over many keys, each a register of its own",
		Reads:   etcd.Reads(),
		Models:  []string{checker.ModelLinearizable, checker.ModelSerializable},
		Minimum: enough,
		New:     register,
		Clients: etcd.NewRegisterClient,
	},
	{
		Name:    "etcd/set",
		Doc:     "unique elements added to a key's list by compare-and-set, and read back",
		Reads:   etcd.Reads(),
		Models:  []string{checker.ModelLinearizable, checker.ModelSerializable},
		Minimum: enough,
		New:     set,
		Clients: etcd.NewSetClient,
	},
	{
		Name:    "etcd/append",
		Doc:     "transactions over several keys that append to lists and read them, judged one by one for internal consistency",
		Reads:   etcd.Reads(),
		Minimum: enough,
		New:     appendLists,
		Clients: etcd.NewAppendClient,
	},
	kubeRegister(),
	kubeSet(),
	kubeList(),
	kubeWatch(),
	kubeLease(),
	kubeDeployment(),
	kubeStatefulSet(),
	kubeJob(),
	kubeGC(),
	kubeNodeFailure(),
	kubeServiceIP(),
	kubeQuota(),
}

// ErrUnknown is what asking for a workload or an option gives that does not exist.
var ErrUnknown = errors.New("unknown")

// Lookup finds a workload by its name. The error names the nearest one.
func Lookup(name string) (Workload, error) {
	i := slices.IndexFunc(Workloads, func(w Workload) bool { return w.Name == name })
	if i >= 0 {
		return Workloads[i], nil
	}
	near := slices.MinFunc(Workloads, func(a, b Workload) int {
		return levenshtein.ComputeDistance(name, a.Name) - levenshtein.ComputeDistance(name, b.Name)
	})
	return Workload{}, fmt.Errorf("%w workload %q: did you mean %s?", ErrUnknown, name, near.Name)
}

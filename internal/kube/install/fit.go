package install

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/faultline/faultline/internal/binaries"
)

// EtcdFits tells whether an API server of a version works over an etcd of a version; the error says what does.
//
// Since 1.31 an API server answers lists from its cache, and since 1.35 it cannot be told not to. To know how fresh the cache is it asks
// etcd for its progress, which older etcds answer wrongly (etcd-io/etcd#15220, #17507): with an etcd before 3.4.31, or of 3.5 before 3.5.13, it does without,
// and watches that need it fail (kubernetes/kubernetes#123192; k8s.io/apiserver/pkg/storage/feature). Before 1.31, 3.4 is enough.
func EtcdFits(kube, etcd string) error {
	k, err := binaries.ParseVersion(kube)
	if err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	e, err := binaries.ParseVersion(etcd)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	least := binaries.Version{Major: 3, Minor: 4}
	if k.Major > 1 || k.Minor >= 31 {
		least = binaries.Version{Major: 3, Minor: 5, Patch: 13}
		if e.Major == 3 && e.Minor == 4 {
			least = binaries.Version{Major: 3, Minor: 4, Patch: 31}
		}
	}
	// A line stands for its newest patch, which all of these lines have past the one that is needed.
	if e.IsLine() && (e.Major > least.Major || e.Minor >= least.Minor) || !e.IsLine() && e.Compare(least) >= 0 {
		return nil
	}
	return fmt.Errorf("etcd %s is too old for Kubernetes %s: it needs %s or newer (--etcd-version)", e, k, least)
}

// GatesFit tells whether a program knows feature gates (A=true,B=false) and lets them be set so; the error is its own word for what is wrong. It starts the
// program, for about 0.1 s. Programs of one version know the same ones, but for the scheduler's and the like; the hollow node cannot be asked.
func GatesFit(ctx context.Context, program binaries.Binary, gates string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program.Path, "--feature-gates="+gates, "--version")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s refuses the feature gates %s: %s", program.Name, program.Version, gates, binaries.LastBytes(out, 500))
	}
	return nil
}

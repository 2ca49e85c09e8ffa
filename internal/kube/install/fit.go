package install

import (
	"fmt"

	"github.com/faultline/faultline/internal/binaries"
)

// leastEtcd is the oldest minor of etcd 3 to run a line of Kubernetes over, newest line first: what that line was released with, less one minor where the
// changelog calls an upgrade of etcd optional. Kubernetes has been released with etcd 3.5 since 1.22, and with 3.6 since 1.34, which still takes 3.5.
var leastEtcd = []struct{ kube, etcd int }{{22, 5}, {0, 4}}

// EtcdFits tells whether an API server of a version works over an etcd of a version; the error says what does.
func EtcdFits(kube, etcd string) error {
	k, err := binaries.ParseVersion(kube)
	if err != nil {
		return err
	}
	e, err := binaries.ParseVersion(etcd)
	if err != nil {
		return err
	}
	for _, row := range leastEtcd {
		if k.Minor < row.kube {
			continue
		}
		if e.Major < 3 || e.Major == 3 && e.Minor < row.etcd {
			return fmt.Errorf("etcd %s is too old for Kubernetes %s: it needs 3.%d or newer (--etcd-version)", etcd, kube, row.etcd)
		}
		return nil
	}
	return nil
}

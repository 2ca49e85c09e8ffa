package kube

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// churnNamespace is where Churn makes its objects. It is made with the control plane.
const churnNamespace = "faultline-churn"

var (
	namespaces      = corev1.SchemeGroupVersion.WithResource("namespaces")
	serviceAccounts = corev1.SchemeGroupVersion.WithResource("serviceaccounts")
)

// namespacesUnwell makes Churn's namespace, and tells whether pods can be made there and in the default one: for that the controller manager must have
// made their service accounts.
func (s *System) namespacesUnwell(ctx context.Context) []problem {
	n := s.nodes[0]
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: churnNamespace}}
	err := n.control.Create(ctx, namespaces, "", "", ns, nil, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return []problem{{n, APIServer, fmt.Errorf("make namespace %s: %w", churnNamespace, err)}}
	}
	if !s.runs(ControllerManager) {
		return nil
	}
	for _, space := range []string{metav1.NamespaceDefault, churnNamespace} {
		err := n.control.Get(ctx, serviceAccounts, space, "default", &corev1.ServiceAccount{}, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			err = errors.New("it has not made the service account that pods need yet")
		}
		if err != nil {
			return []problem{{n, ControllerManager, fmt.Errorf("namespace %s: %w", space, err)}}
		}
	}
	return nil
}

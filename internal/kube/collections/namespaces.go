package collections

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/internal/kube/api"
)

// namespaceCreator creates the namespaces that the clients of one workload need. To create one is no operation of the workload: it is not
// recorded, and what needs it is not begun before.
type namespaceCreator struct {
	mu      sync.Mutex
	created map[string]bool
}

// ensure creates a namespace, if nobody did. The error is definite, whatever it was: of the operation nothing was sent.
func (n *namespaceCreator) ensure(ctx context.Context, c *api.Client, name string) error {
	n.mu.Lock()
	created := n.created[name]
	n.mu.Unlock()
	if created {
		return nil
	}
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	err := c.Create(ctx, namespaces, "", "", object, nil, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("%w: not begun, for want of the namespace %s: %w", harness.ErrNotApplied, name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.created[name] = true
	return nil
}

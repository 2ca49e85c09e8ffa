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

// rooms are the namespaces that the clients of one workload have made. Making one is no operation of the workload: it is not recorded, and what
// needs it is not begun before.
type rooms struct {
	mu   sync.Mutex
	made map[string]bool
}

// make makes a namespace, if nobody did. The error is definite, whatever it was: of the operation nothing was sent.
func (r *rooms) make(ctx context.Context, c *api.Client, name string) error {
	r.mu.Lock()
	made := r.made[name]
	r.mu.Unlock()
	if made {
		return nil
	}
	room := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	err := c.Create(ctx, namespaces, "", "", room, nil, metav1.CreateOptions{FieldManager: manager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("%w: not begun, for want of the namespace %s: %w", harness.ErrNotApplied, name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made[name] = true
	return nil
}

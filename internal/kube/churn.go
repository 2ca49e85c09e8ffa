package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
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

var (
	deployments = appsv1.SchemeGroupVersion.WithResource("deployments")
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
)

// Churn makes n objects in a namespace of its own, by turns Deployments of one pod and pods, and deletes them again at once, before most components have
// acted on them. It does not wait for what must end before they are gone.
func (s *System) Churn(ctx context.Context, n int) (string, error) {
	s.mu.Lock()
	first := s.churned
	s.churned += n
	s.mu.Unlock()
	c := churn{slices.Clone(s.nodes)}
	for i := range n {
		if err := c.make(ctx, first+i); err != nil {
			return "", fmt.Errorf("make %s: %w", churnName(first+i), err)
		}
	}
	for i := range n {
		if err := c.remove(ctx, first+i); err != nil {
			return "", fmt.Errorf("delete %s: %w", churnName(first+i), err)
		}
	}
	return fmt.Sprintf("made and deleted %d Deployments and %d pods in namespace %s", (n+1-first%2)/2, (n+first%2)/2, churnNamespace), nil
}

func churnName(i int) string { return fmt.Sprintf("churn-%d", i) }

// churn is one round of it. Its servers are asked in their order; one that failed goes behind the others.
type churn struct{ servers []*node }

func (c *churn) make(ctx context.Context, i int) error {
	return c.write(ctx, func(ctx context.Context, n *node) error {
		var err error
		if i%2 == 0 {
			err = n.control.Create(ctx, deployments, churnNamespace, "", churnDeployment(churnName(i)), nil, metav1.CreateOptions{})
		} else {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: churnName(i)}, Spec: churnPod()}
			err = n.control.Create(ctx, pods, churnNamespace, "", pod, nil, metav1.CreateOptions{})
		}
		if apierrors.IsAlreadyExists(err) {
			return nil // by an attempt whose answer was lost
		}
		return err
	})
}

func (c *churn) remove(ctx context.Context, i int) error {
	resource := pods
	if i%2 == 0 {
		resource = deployments
	}
	background := metav1.DeletePropagationBackground
	return c.write(ctx, func(ctx context.Context, n *node) error {
		err := n.control.Delete(ctx, resource, churnNamespace, churnName(i), nil, metav1.DeleteOptions{PropagationPolicy: &background})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// write tries something that may be done more than once through one API server after the other, until one has done it.
func (c *churn) write(ctx context.Context, f func(ctx context.Context, n *node) error) error {
	var errs []error
	for range c.servers {
		n := c.servers[0]
		err := f(ctx, n)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", n.Name(), err))
		c.servers = append(c.servers[1:], n)
	}
	return errors.Join(errs...)
}

func churnPod() corev1.PodSpec {
	var grace int64 = 1
	return corev1.PodSpec{TerminationGracePeriodSeconds: &grace, Containers: []corev1.Container{{Name: "main", Image: "faultline.test/churn:1"}}}
}

func churnDeployment(name string) *appsv1.Deployment {
	var one int32 = 1
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: churnPod()},
		},
	}
}

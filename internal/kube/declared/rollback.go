package declared

import (
	"context"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/faultline/faultline/internal/kube/api"
)

// annotationRevision is where the Deployment controller numbers the revisions, in the Deployment (the current one) and its ReplicaSets.
const annotationRevision = "deployment.kubernetes.io/revision"

// rollback looks for the newest revision before the current one, as kubectl's rollout undo does, and sets its image. Revisions are the
// Deployment's ReplicaSets: while the controller is behind, it goes back to what the controller has seen.
func rollback(ctx context.Context, c *call) error {
	o, err := c.get(ctx)
	if err != nil {
		return c.refuse(api.ReadError(err))
	}
	sets := &appsv1.ReplicaSetList{}
	err = c.server.List(ctx, appsv1.SchemeGroupVersion.WithResource("replicasets"), c.namespace, sets,
		metav1.ListOptions{LabelSelector: labelApp + "=" + c.name})
	if err != nil {
		return api.ReadError(err)
	}
	c.d.Image = imageBefore(o, sets.Items)
	if c.d.Image == "" {
		c.d.Refused = refusedNone
		return nil
	}
	return c.patch(ctx, templateWith(c.d.Image))
}

// imageBefore is the image of the newest revision before an object's current one; empty: there is none.
func imageBefore(o object, sets []appsv1.ReplicaSet) string {
	current := revisionOf(o)
	best, image := int64(0), ""
	for i := range sets {
		s := &sets[i]
		if !metav1.IsControlledBy(s, o) {
			continue
		}
		if r := revisionOf(s); r > best && r < current {
			best, image = r, imageOf(&s.Spec.Template)
		}
	}
	return image
}

func revisionOf(o metav1.Object) int64 {
	n, err := strconv.ParseInt(o.GetAnnotations()[annotationRevision], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

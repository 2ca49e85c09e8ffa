package controlplane

import (
	"maps"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/history"
)

// The kinds of declared state that the imagined control plane knows. Each is a collection of its own.
const (
	kindNamespace   = "Namespace"
	kindNode        = "Node"
	kindQuota       = "ResourceQuota"
	kindConfigMap   = "ConfigMap"
	kindDeployment  = "Deployment"
	kindStatefulSet = "StatefulSet"
	kindJob         = "Job"
	kindPod         = "Pod"
	kindService     = "Service"
	// allocations are what services were given, each an object of its own, so that none is given twice.
	allocations = "allocations"
)

// defaultNamespace is where objects are whose keys name none.
const defaultNamespace = "default"

// Finalizers.
const (
	finalizerForeground = "foregroundDeletion"
	finalizerOrphan     = "orphan"
)

// thing is an object of declared state. It is never changed in place.
type thing struct {
	// state is what observers see of it, but for its version.
	state history.Object
	// declared is what was declared last.
	declared history.Declaration
	// images are those before the current one, the oldest first.
	images []string
}

// clone is a copy to be changed.
func (t *thing) clone() *thing {
	c := *t
	c.state.Want, c.state.Have, c.state.Attr = maps.Clone(t.state.Want), maps.Clone(t.state.Have), maps.Clone(t.state.Attr)
	c.state.Owners, c.state.Finalizers = slices.Clone(t.state.Owners), slices.Clone(t.state.Finalizers)
	c.images = slices.Clone(t.images)
	return &c
}

// attr is a copy with words set.
func (t *thing) with(attr map[string]string) *thing {
	for k, v := range attr {
		if t.state.Attr[k] != v {
			c := t.clone()
			if c.state.Attr == nil {
				c.state.Attr = map[string]string{}
			}
			maps.Copy(c.state.Attr, attr)
			return c
		}
	}
	return t
}

// owner is the UID of the first owner, "" where there is none.
func (t *thing) owner() string {
	if len(t.state.Owners) == 0 {
		return ""
	}
	return t.state.Owners[0].UID
}

// fullName is namespace/name.
func fullName(key string) string {
	if strings.Contains(key, "/") {
		return key
	}
	return defaultNamespace + "/" + key
}

// namespaceOf is a full name's namespace.
func namespaceOf(name string) string {
	namespace, _, _ := strings.Cut(name, "/")
	return namespace
}

// things are those of a kind in a server's cache, by name.
func (s *Server) things(kind string) []*thing {
	var out []*thing
	s.each(kind, s.revision(), func(c *change) {
		if t, ok := c.content.(*thing); ok {
			out = append(out, t)
		}
	})
	return out
}

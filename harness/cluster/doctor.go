package cluster

import "github.com/faultline/faultline/internal/node"

// Check is one thing that a machine needs, as tested on it.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail is what was found.
	Detail string `json:"detail"`
	// Fix is what to do; empty where it is well.
	Fix string `json:"fix,omitempty"`
}

func fromNode(checks []node.Check) []Check {
	all := make([]Check, len(checks))
	for i, c := range checks {
		all[i] = Check(c)
	}
	return all
}

package controlplane

import "github.com/faultline/faultline/harness/history"

// session is what a process has seen.
func (p *Plane) session(process history.Process) *history.Seen {
	s := p.sessions[process]
	if s == nil {
		s = history.NewSeen()
		p.sessions[process] = s
	}
	return s
}

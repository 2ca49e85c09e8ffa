package controlplane

import (
	"github.com/faultline/faultline/harness/history"
)

// session is what a process has seen: in what it completed, and nowhere else.
type session struct {
	// newest is the highest version or revision of all, last that of each collection; past are the last of these, the oldest first.
	newest int64
	last   map[string]int64
	past   map[string][]int64
	// exists are the registers that were there, versions the objects', by collection and name.
	exists   map[string]bool
	versions map[string]map[string]int64
}

// pastMax bounds the revisions that a process remembers of a collection.
const pastMax = 16

func (p *Plane) session(process history.Process) *session {
	s := p.sessions[process]
	if s == nil {
		s = &session{
			last: map[string]int64{}, past: map[string][]int64{}, exists: map[string]bool{}, versions: map[string]map[string]int64{},
		}
		p.sessions[process] = s
	}
	return s
}

// completed takes in an operation that was ok.
func (s *session) completed(op history.Op) {
	at := max(op.Version, op.Revision)
	s.newest = max(s.newest, at)
	if at <= s.last[op.Key] {
		return
	}
	s.last[op.Key] = at
	past := append(s.past[op.Key], at)
	s.past[op.Key] = past[max(0, len(past)-pastMax):]
}

// forget drops the revisions of a collection, which the server no longer has.
func (s *session) forget(collection string) {
	delete(s.last, collection)
	delete(s.past, collection)
}

// object notes an object's version; 0: it is gone.
func (s *session) object(collection, name string, version int64) {
	of := s.versions[collection]
	if of == nil {
		of = map[string]int64{}
		s.versions[collection] = of
	}
	if version == 0 {
		delete(of, name)
		return
	}
	of[name] = version
}

// all notes the versions of all objects of a collection.
func (s *session) all(collection string, pages []history.Page) {
	of := map[string]int64{}
	for _, p := range pages {
		for _, m := range p.Objects {
			of[m.Object] = m.Version
		}
	}
	s.versions[collection] = of
}

package collections

import "github.com/faultline/faultline/harness/history"

// pastMax bounds the revisions that a process remembers of a collection.
const pastMax = 16

// memory is what a process has seen: in what it completed, and nowhere else, so that whoever reads the history knows it, too.
type memory struct {
	// newest is the highest version or revision of all.
	newest int64
	// last is the highest revision of each collection, past are the last of them, oldest first.
	last map[string]int64
	past map[string][]int64
	// exists are the registers that were there. They stay.
	exists map[string]bool
	// versions are the objects', by collection and name.
	versions map[string]map[string]int64
}

func newMemory() memory {
	return memory{
		last: map[string]int64{}, past: map[string][]int64{},
		exists: map[string]bool{}, versions: map[string]map[string]int64{},
	}
}

// completed takes in an operation that was ok.
func (m *memory) completed(op history.Op) {
	at := max(op.Version, op.Revision)
	m.newest = max(m.newest, at)
	if at <= m.last[op.Key] {
		return
	}
	m.last[op.Key] = at
	past := append(m.past[op.Key], at)
	m.past[op.Key] = past[max(0, len(past)-pastMax):]
}

// forget drops the revisions of a collection, which the server no longer has.
func (m *memory) forget(key string) {
	delete(m.last, key)
	delete(m.past, key)
}

// object notes an object's version; 0: it is gone.
func (m *memory) object(key, name string, version int64) {
	of := m.versions[key]
	if of == nil {
		of = map[string]int64{}
		m.versions[key] = of
	}
	if version == 0 {
		delete(of, name)
		return
	}
	of[name] = version
}

// all notes the versions of all objects of a collection.
func (m *memory) all(key string, members []history.Member) {
	of := make(map[string]int64, len(members))
	for _, o := range members {
		of[o.Object] = o.Version
	}
	m.versions[key] = of
}

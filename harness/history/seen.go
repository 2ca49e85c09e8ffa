package history

// seenPastMax bounds the revisions that a process remembers of a collection.
const seenPastMax = 16

// Seen is what one process has seen: in what it completed, and nowhere else, so that whoever reads the history knows it, too. Clients that ask for
// "what I saw last" keep one, real and imagined ones alike.
type Seen struct {
	// Newest is the highest version or revision of all.
	Newest int64
	// Last is the highest revision of each collection, Past are the last of them, oldest first.
	Last map[string]int64
	Past map[string][]int64
	// Exists are the registers that were there. They stay.
	Exists map[string]bool
	// Versions are the objects', by collection and name.
	Versions map[string]map[string]int64
}

// NewSeen is of a process that has seen nothing.
func NewSeen() *Seen {
	return &Seen{
		Last: map[string]int64{}, Past: map[string][]int64{},
		Exists: map[string]bool{}, Versions: map[string]map[string]int64{},
	}
}

// Completed takes in an operation that was ok.
func (s *Seen) Completed(op Op) {
	at := max(op.Version, op.Revision)
	s.Newest = max(s.Newest, at)
	if at <= s.Last[op.Key] {
		return
	}
	s.Last[op.Key] = at
	past := append(s.Past[op.Key], at)
	s.Past[op.Key] = past[max(0, len(past)-seenPastMax):]
}

// Forget drops the revisions of a collection, which the server no longer has.
func (s *Seen) Forget(key string) {
	delete(s.Last, key)
	delete(s.Past, key)
}

// Object notes an object's version; 0: it is gone.
func (s *Seen) Object(key, name string, version int64) {
	of := s.Versions[key]
	if of == nil {
		of = map[string]int64{}
		s.Versions[key] = of
	}
	if version == 0 {
		delete(of, name)
		return
	}
	of[name] = version
}

// All notes the versions of all objects of a collection.
func (s *Seen) All(key string, pages ...Page) {
	of := map[string]int64{}
	for _, p := range pages {
		for _, o := range p.Objects {
			of[o.Object] = o.Version
		}
	}
	s.Versions[key] = of
}

package history

// Memory is a history in memory that remembers whether it was complete.
type Memory struct {
	Slice

	complete bool
	note     string
}

// Load reads a whole history into memory. It checks what reading checks; see Validate for the rest.
func Load(src Source) (*Memory, error) {
	m := &Memory{complete: src.Complete(), note: Recovered(src)}
	for op, err := range src.Ops() {
		if err != nil {
			return nil, err
		}
		m.Slice = append(m.Slice, op)
	}
	return m, nil
}

// Complete tells whether the source was complete.
func (m *Memory) Complete() bool { return m.complete }

// Recovered is the note of the source; see File.
func (m *Memory) Recovered() string { return m.note }

// Recovered says how much of the source was recovered, where it can tell and is not complete; else "".
func Recovered(src Source) string {
	if r, ok := src.(interface{ Recovered() string }); ok {
		return r.Recovered()
	}
	return ""
}

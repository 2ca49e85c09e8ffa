package checker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/faultline/faultline/harness/history"
)

// never is the index of a completion that did not come: later than every other.
const never = math.MaxInt64

// ErrMalformed is what values give that no workload of this kind records.
var ErrMalformed = errors.New("malformed value")

// errStopped is why a checker stopped before it had read everything.
var errStopped = errors.New("out of time while reading the history")

// indexOf names an operation to people: the line of its completion, which says what it saw; for an open one the
// line of its invocation.
func indexOf(p history.Pair) int64 {
	if !p.HasComplete {
		return p.Invoke.Index
	}
	return p.Complete.Index
}

// returned is the index of the completion, or never.
func returned(p history.Pair) int64 {
	if !p.HasComplete {
		return never
	}
	return p.Complete.Index
}

// clients visits the client operations in the order of their completions, the open ones last. Running out of time is a
// reason to be Unknown, not an error.
func (f *findings) clients(ctx context.Context, src history.Source, visit func(history.Pair) error) error {
	n := 0
	for p, err := range history.ClientPairs(src) {
		if err != nil {
			return fmt.Errorf("read the history: %w", err)
		}
		if n++; n&1023 == 0 && ctx.Err() != nil {
			f.unknown("%s", errStopped)
			return nil
		}
		if err := visit(p); err != nil {
			return err
		}
	}
	return nil
}

// nemesis visits the operations of the nemesis likewise.
func (f *findings) nemesis(ctx context.Context, src history.Source, visit func(history.Pair) error) error {
	n := 0
	for p, err := range history.Pairs(src) {
		if err != nil {
			return fmt.Errorf("read the history: %w", err)
		}
		if n++; n&1023 == 0 && ctx.Err() != nil {
			f.unknown("%s", errStopped)
			return nil
		}
		if p.Invoke.Process != history.Nemesis {
			continue
		}
		if err := visit(p); err != nil {
			return err
		}
	}
	return nil
}

// isNull tells JSON's null, and no value at all.
func isNull(v json.RawMessage) bool {
	v = bytes.TrimSpace(v)
	return len(v) == 0 || string(v) == "null"
}

// elements splits a JSON array into the texts of its elements; null is the empty array. The values of a history
// were checked when it was read; this only has to refuse what is no array.
func elements(v json.RawMessage) ([][]byte, error) {
	v = bytes.TrimSpace(v)
	if isNull(v) {
		return nil, nil
	}
	if len(v) < 2 || v[0] != '[' || v[len(v)-1] != ']' {
		return nil, fmt.Errorf("%w: %.40q is no array", ErrMalformed, v)
	}
	var (
		out   [][]byte
		depth int
		text  bool
		from  = 1
	)
	for i := 1; i < len(v); i++ {
		switch c := v[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '[' || c == '{':
			depth++
		case depth > 0 && (c == ']' || c == '}'):
			depth--
		case depth == 0 && (c == ',' || i == len(v)-1):
			e := bytes.TrimSpace(v[from:i])
			if len(e) == 0 && c == ']' && len(out) == 0 {
				return nil, nil
			}
			if len(e) == 0 {
				return nil, fmt.Errorf("%w: %.40q has an empty element", ErrMalformed, v)
			}
			out = append(out, e)
			from = i + 1
		}
	}
	if depth != 0 || text || from != len(v) {
		return nil, fmt.Errorf("%w: %.40q is no array", ErrMalformed, v)
	}
	return out, nil
}

// names gives each distinct JSON text a small number; 0 is null.
type names struct {
	ids   map[string]int32
	texts []string
}

func newNames() *names {
	return &names{ids: map[string]int32{"null": 0, "": 0}, texts: []string{"null"}}
}

func (n *names) id(v []byte) int32 {
	v = bytes.TrimSpace(v)
	if id, ok := n.ids[string(v)]; ok {
		return id
	}
	id := int32(len(n.texts))
	n.ids[string(v)] = id
	n.texts = append(n.texts, string(v))
	return id
}

func (n *names) text(id int32) string { return n.texts[id] }

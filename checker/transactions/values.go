package transactions

import (
	"math"
	"strconv"
)

// value is an element of a list or the content of a register. Integers are themselves; any other JSON text is a number below
// valueIntMin, given out in the order of appearance.
type value = int64

const (
	// none is null: the state before the first write.
	none value = math.MinInt64
	// valueIntMin is the least integer that is its own value.
	valueIntMin = -(1 << 62)
)

// texts names values that are no small integers, and keys.
type texts struct {
	ids map[string]int64
	all []string
}

func newTexts() *texts { return &texts{ids: map[string]int64{}} }

// id is the number of a text, from 0.
func (t *texts) id(b []byte) int64 {
	if id, ok := t.ids[string(b)]; ok {
		return id
	}
	s := string(b)
	id := int64(len(t.all))
	t.ids[s] = id
	t.all = append(t.all, s)
	return id
}

// value is the value that a JSON text stands for.
func (t *texts) value(b []byte) value {
	if n, ok := smallInt(b); ok {
		return n
	}
	if string(b) == "null" {
		return none
	}
	return none + 1 + t.id(b)
}

// text is the JSON text of a value.
func (t *texts) text(v value) string {
	switch {
	case v == none:
		return "nil"
	case v < valueIntMin:
		return t.all[v-none-1]
	}
	return strconv.FormatInt(v, 10)
}

// smallInt reads an integer of at most 18 digits in its one form.
func smallInt(b []byte) (int64, bool) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(b) > 1 {
		return 0, false
	}
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) != len(b) {
		n = -n
	}
	return n, true
}

// keys gives each key a small number, in the order of appearance.
type keys struct {
	ints  map[int64]int32
	texts map[string]int32
	names []string
}

func newKeys() *keys { return &keys{ints: map[int64]int32{}, texts: map[string]int32{}} }

func (k *keys) id(b []byte) int32 {
	if n, ok := smallInt(b); ok {
		id, known := k.ints[n]
		if !known {
			id = k.add(string(b))
			k.ints[n] = id
		}
		return id
	}
	id, known := k.texts[string(b)]
	if !known {
		id = k.add(keyName(b))
		k.texts[string(b)] = id
	}
	return id
}

func (k *keys) add(name string) int32 {
	k.names = append(k.names, name)
	return int32(len(k.names) - 1)
}

// keyName is a key as people read it: a string without its quotes.
func keyName(b []byte) string {
	if len(b) > 0 && b[0] == '"' {
		if s, err := strconv.Unquote(string(b)); err == nil {
			return s
		}
	}
	return string(b)
}

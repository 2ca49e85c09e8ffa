package history

import "time"

// fast decodes a line as this package writes it, whatever the order of its fields: no escapes, no nulls but as value, and no fields of other
// names. It gives up (false) on everything else, which is then for the slow way to read, or to say what is wrong.
func (d *decoder) fast(b []byte, op *Op) bool {
	if len(b) == 0 || b[0] != '{' {
		return false
	}
	for i := 1; ; i++ {
		name, at := plainString(b, skipSpace(b, i))
		if name == nil {
			return false
		}
		if at = skipSpace(b, at); at >= len(b) || b[at] != ':' {
			return false
		}
		at = skipSpace(b, at+1)
		if i = d.fastField(b, at, name, op); i < 0 {
			return false
		}
		i = skipSpace(b, i)
		switch {
		case i < len(b) && b[i] == ',':
		case i < len(b) && b[i] == '}':
			return skipSpace(b, i+1) == len(b)
		default:
			return false
		}
	}
}

// fastField reads the value at i of a field, given with its quotes, and returns the index after it; -1: it gives up.
func (d *decoder) fastField(b []byte, i int, name []byte, op *Op) int {
	var n int64
	switch string(name) {
	case `"index"`:
		op.Index, i = plainInteger(b, i)
		d.hasIndex = true
	case `"time"`:
		n, i = plainInteger(b, i)
		op.Time, d.hasTime = time.Duration(n), true
	case `"process"`:
		n, i = plainInteger(b, i)
		op.Process, d.hasProcess = Process(n), true
	case `"version"`:
		op.Version, i = plainInteger(b, i)
	case `"revision"`:
		op.Revision, i = plainInteger(b, i)
	case `"type"`:
		word, end := plainString(b, i)
		if word == nil {
			return -1
		}
		t, err := d.parseType(word)
		if err != nil {
			return -1
		}
		op.Type, i = t, end
	case `"value"`:
		end, err := skipValue(b, i, 1)
		if err != nil {
			return -1
		}
		op.Value, i = d.keep(b[i:end]), end
	case `"f"`:
		op.F, i = d.fastText(b, i)
		d.hasF = true
	case `"key"`:
		op.Key, i = d.fastText(b, i)
	case `"node"`:
		op.Node, i = d.fastText(b, i)
	case `"error"`:
		op.Error, i = d.fastText(b, i)
	default:
		return -1
	}
	return i
}

func (d *decoder) fastText(b []byte, i int) (string, int) {
	word, end := plainString(b, i)
	if word == nil {
		return "", -1
	}
	s, err := d.text(word)
	if err != nil {
		return "", -1
	}
	return s, end
}

// plainString is the string at i, with its quotes, if it is its own meaning, and the index after it; else nil.
func plainString(b []byte, i int) ([]byte, int) {
	if i >= len(b) || b[i] != '"' {
		return nil, i
	}
	for j := i + 1; j < len(b); j++ {
		switch c := b[j]; {
		case c == '"':
			return b[i : j+1], j + 1
		case c < ' ' || c == '\\' || c >= 0x80:
			return nil, j
		}
	}
	return nil, len(b)
}

// plainInteger is the number at i, if it has no sign and surely fits, and the index after it; else -1.
func plainInteger(b []byte, i int) (n int64, end int) {
	const digitsMax = 18
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' && i-start < digitsMax {
		n = n*10 + int64(b[i]-'0')
		i++
	}
	if i == start || i == len(b) || b[start] == '0' && i > start+1 {
		return 0, -1
	}
	switch b[i] {
	case ',', '}', ' ', '\t', '\r', '\n':
		return n, i
	}
	return 0, -1
}

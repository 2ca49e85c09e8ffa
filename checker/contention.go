package checker

import (
	"fmt"

	"github.com/faultline/faultline/harness/history"
)

// keyUse tells who used each key.
type keyUse map[string]use

// use is who used a key.
type use struct {
	first   history.Process
	shared  bool // by another process than the first, too
	written bool
}

// touch counts an operation that happened or may have, and tells whether it read. A transaction (f "txn") touches the keys
// of its micro-operations. What the others do, functions says.
func (k keyUse) touch(p history.Pair) (read bool, err error) {
	if p.Invoke.F == fRequest {
		return true, k.request(p)
	}
	if p.Invoke.F != fTxn {
		read, writes := does(p.Invoke.F)
		k.use(p.Invoke.Key, p.Invoke.Process, writes)
		return read, nil
	}
	micros, err := parseTxn(p.Invoke)
	if err != nil {
		return false, err
	}
	for _, m := range micros {
		k.use(m.key, p.Invoke.Process, m.f != microRead)
		read = read || m.f == microRead
	}
	return read, nil
}

// request touches the keys that a request names.
func (k keyUse) request(p history.Pair) error {
	var r kvRequest
	if err := r.request(p.Invoke.Value); err != nil {
		return fmt.Errorf("operation %d: %w: a request: %w", p.Invoke.Index, ErrMalformed, err)
	}
	for _, branch := range [][]kvOp{r.then, r.otherwise} {
		for i := range branch {
			k.use(branch[i].key, p.Invoke.Process, branch[i].kind != kvRange)
		}
	}
	return nil
}

func (k keyUse) use(key string, p history.Process, writes bool) {
	u, known := k[key]
	if !known {
		u.first = p
	}
	u.shared = u.shared || u.first != p
	u.written = u.written || writes
	k[key] = u
}

// contended is how many keys two processes or more used, one of them writing.
func (k keyUse) contended() (n int64) {
	for _, u := range k {
		if u.shared && u.written {
			n++
		}
	}
	return n
}

// Micro-operations of a transaction.
const (
	microRead   = "r"
	microAppend = "append"
)

// micro is one operation of a transaction: [f, key, value], perhaps with a version beside.
type micro struct {
	f   string
	key string
	// value is the text of the value: an element to append, or the list that was read.
	value []byte
}

// parseTxn takes the value of a transaction apart.
func parseTxn(op history.Op) ([]micro, error) {
	list, err := elements(op.Value)
	if err != nil {
		return nil, fmt.Errorf("operation %d: a transaction: %w", op.Index, err)
	}
	micros := make([]micro, len(list))
	for i, text := range list {
		parts, err := elements(text)
		if err != nil {
			return nil, fmt.Errorf("operation %d: a micro-operation: %w", op.Index, err)
		}
		if len(parts) != 3 && len(parts) != 4 {
			return nil, fmt.Errorf("operation %d: %w: the micro-operation %.60s has neither 3 parts nor 4", op.Index, ErrMalformed, text)
		}
		micros[i] = micro{f: unquote(parts[0]), key: unquote(parts[1]), value: parts[2]}
	}
	return micros, nil
}

// unquote is a JSON string's content, and any other value's text.
func unquote(v []byte) string {
	if n := len(v); n >= 2 && v[0] == '"' && v[n-1] == '"' {
		return string(v[1 : n-1])
	}
	return string(v)
}

package transactions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/faultline/faultline/harness/history"
)

// Kind is what the transactions read and write.
type Kind uint8

// The two kinds.
const (
	ListAppend Kind = iota + 1
	RWRegister
)

// never is the index of a completion that did not come.
const never = math.MaxInt64

// txn is a transaction. They are numbered in the order of their completions, the open ones last.
type txn struct {
	invoke int64
	// complete is when it had happened for sure: the index of its ok completion, else never.
	complete int64
	// name is the index that people know it by: its completion's, or its invocation's where it has none.
	name    int64
	process history.Process
	// first is its first micro-operation; they end where those of the next transaction begin.
	first   int32
	outcome history.Type
}

func (t *txn) ok() bool     { return t.outcome == history.OK }
func (t *txn) failed() bool { return t.outcome == history.Fail }

// micro is a micro-operation.
type micro struct {
	// value is what was written, or read from a register.
	value value
	key   int32
	// n is wrote for a write. For a read of a list it is the length of the list if that begins the longest list read of its key, else
	// oddList minus its place among the odd lists. For a read of a register it is 0.
	n int32
}

const (
	wrote   = -1
	oddList = -2
)

// longest is the longest list that was read of a key so far.
type longest struct {
	// text is the inside of its JSON, as long as it is integers only.
	text   []byte
	values []value
	by     int32
	odd    bool // another list was read that does not begin it
}

// table is a history as this package works on it.
type table struct {
	kind     Kind
	txns     []txn
	micros   []micro
	owners   []int32 // the transaction of each micro-operation
	versions []int64 // of each micro-operation, where any has one; 0 is none
	keys     *keys
	texts    *texts
	lists    []longest // by key
	odd      [][]value
	oks      int
	oddBytes int64 // memory of lists
}

// Limits that this package's numbers have.
const microsMax = math.MaxInt32 / 4

var (
	errMemory = errors.New("out of memory: the history needs more than the budget allows")
	errTime   = errors.New("out of time")
)

// gather reads the transactions of a history; reading and parsing go on at the same time. With errMemory and errTime comes what was
// read until then.
func gather(ctx context.Context, src history.Source, kind Kind, memory int64) (*table, error) {
	t := &table{kind: kind, keys: newKeys(), texts: newTexts()}
	p := pipe{full: make(chan []history.Pair, 8), empty: make(chan []history.Pair, 8)}
	parsed := make(chan error, 1)
	go func() {
		var err error
		for pairs := range p.full {
			for i := 0; i < len(pairs) && err == nil; i++ {
				err = t.take(&pairs[i])
			}
			if err == nil && t.bytes() > memory {
				err = errMemory
			}
			if err != nil {
				p.stop.Store(true)
			}
			clear(pairs)
			select {
			case p.empty <- pairs[:0]:
			default:
			}
		}
		parsed <- err
	}()
	read := p.feed(ctx, src)
	close(p.full)
	if err := <-parsed; read == nil {
		read = err
	}
	return t, read
}

// pipe carries batches of operations from the reader to the parser, and their memory back.
type pipe struct {
	full, empty chan []history.Pair
	stop        atomic.Bool // nobody takes them any more
}

func (p *pipe) feed(ctx context.Context, src history.Source) error {
	batch := 8 // at first: most histories of tests are short
	pairs := make([]history.Pair, 0, batch)
	for pair, err := range history.ClientPairs(src) {
		if err != nil {
			return fmt.Errorf("read the history: %w", err)
		}
		if pairs = append(pairs, pair); len(pairs) < batch {
			continue
		}
		if p.full <- pairs; p.stop.Load() {
			return nil
		}
		if ctx.Err() != nil {
			return errTime
		}
		batch = 256
		select {
		case pairs = <-p.empty:
		default:
			pairs = make([]history.Pair, 0, batch)
		}
	}
	p.full <- pairs
	return nil
}

// bytes is about how much memory the table takes.
func (t *table) bytes() int64 {
	return int64(cap(t.txns))*48 + int64(cap(t.micros))*20 + int64(cap(t.versions))*8 + int64(len(t.keys.names))*300 + int64(len(t.texts.all))*100 +
		t.oddBytes
}

// take adds a transaction.
func (t *table) take(p *history.Pair) error {
	if p.Invoke.F != "txn" && p.Invoke.F != "" {
		return fmt.Errorf("operation %d: %w: the function is %q, want txn", p.Invoke.Index, ErrMalformed, p.Invoke.F)
	}
	x := txn{invoke: p.Invoke.Index, complete: never, name: p.Invoke.Index, process: p.Invoke.Process, first: int32(len(t.micros)), outcome: p.Outcome()}
	text := p.Invoke.Value
	if p.HasComplete {
		x.name = p.Complete.Index
	}
	if x.ok() {
		x.complete, text = p.Complete.Index, p.Complete.Value
		t.oks++
	}
	t.txns = append(room(t.txns), x)
	if len(t.micros) > microsMax {
		return fmt.Errorf("more than %d micro-operations: %w", microsMax, errMemory)
	}
	if err := t.parse(text, &x); err != nil {
		return fmt.Errorf("operation %d: %w", x.name, err)
	}
	return nil
}

// parse adds the micro-operations of a transaction. What a transaction read that did not complete ok, nobody knows.
func (t *table) parse(text []byte, x *txn) error {
	return micros(text, func(raw rawMicro) error {
		m := micro{key: t.keys.id(raw.key)}
		if int(m.key) == len(t.lists) {
			t.lists = append(t.lists, longest{})
		}
		var err error
		switch word := string(raw.f); {
		case word == "r" && !x.ok():
			return nil
		case word == "r" && t.kind == ListAppend:
			m.n, err = t.read(m.key, raw.value)
		case word == "r":
			m.value = t.value(raw.value)
		case word == "append" && t.kind == ListAppend, word == "w" && t.kind == RWRegister:
			m.n, m.value = wrote, t.value(raw.value)
		default:
			return fmt.Errorf("%w: the micro-operation %q", ErrMalformed, word)
		}
		if err != nil {
			return err
		}
		t.micros = append(room(t.micros), m)
		t.owners = append(room(t.owners), int32(len(t.txns)-1))
		return t.version(raw.version)
	})
}

// room doubles a slice that is full: append alone lets a long one grow by a quarter, and copies it that much oftener.
func room[T any](s []T) []T {
	if len(s) == cap(s) {
		return slices.Grow(s, max(64, len(s)))
	}
	return s
}

func (t *table) value(raw []byte) value {
	if len(raw) == 0 {
		return none
	}
	return t.texts.value(raw)
}

// version notes the version of the last micro-operation.
func (t *table) version(raw []byte) error {
	if raw == nil || string(raw) == "null" {
		if t.versions != nil {
			t.versions = append(t.versions, 0)
		}
		return nil
	}
	v, ok := smallInt(raw)
	if !ok || v < 0 {
		return fmt.Errorf("%w: the version %.40q is no integer from 0", ErrMalformed, raw)
	}
	for len(t.versions) < len(t.micros)-1 {
		t.versions = append(t.versions, 0)
	}
	t.versions = append(t.versions, v)
	return nil
}

// read notes a list that was read of a key, and says how a micro-operation refers to it. Most lists begin the longest one of
// their key: comparing the text is enough then.
func (t *table) read(key int32, b []byte) (int32, error) {
	l := &t.lists[key]
	if n := len(b); n > 2 && n-2 <= len(l.text) && string(b[1:n-1]) == string(l.text[:n-2]) && (n-2 == len(l.text) || l.text[n-2] == ',') {
		return int32(bytes.Count(b, []byte{','}) + 1), nil
	}
	var values []value
	plain := true
	err := list(b, func(element []byte) {
		v := t.texts.value(element)
		plain = plain && v >= valueIntMin
		values = append(values, v)
	})
	if err != nil || len(values) == 0 {
		return 0, err
	}
	n := min(len(values), len(l.values))
	if !slices.Equal(values[:n], l.values[:n]) {
		l.odd = true
		t.odd = append(t.odd, values)
		t.oddBytes += int64(len(values))*8 + 24
		return oddList - int32(len(t.odd)-1), nil
	}
	if len(values) > len(l.values) {
		t.oddBytes += int64(len(values)-len(l.values)) * 8
		l.values, l.by, l.text = values, int32(len(t.txns)-1), nil
		if plain && bytes.IndexByte(b, ' ') < 0 {
			l.text = append(l.text, b[1:len(b)-1]...)
		}
	}
	return int32(len(values)), nil
}

// list is the list that a micro-operation read.
func (t *table) list(m micro) []value {
	if m.n <= oddList {
		return t.odd[oddList-m.n]
	}
	return t.lists[m.key].values[:m.n]
}

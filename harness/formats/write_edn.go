package formats

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/faultline/faultline/harness/history"
)

// writeEDN writes a history as Jepsen, Elle and Knossos read it, and as Open reads it back:
//
//   - Values of operations with a key are [key value], with :independent true beside them.
//   - A compare-and-set that was refused, which is ok here (it observed a mismatch), is a fail there, with :refused and what it saw in :seen.
//   - The names of micro-operations of transactions are keywords.
//   - :version, :revision, :node and :error are there where the operation has them; tools pass over them.
//   - Evidence is left out: those tools have no operations that nobody invoked.
func writeEDN(w io.Writer, src history.Source) error {
	out := bufio.NewWriterSize(w, 256<<10)
	var e ednWriter
	for op, err := range src.Ops() {
		if err != nil {
			return err
		}
		if op.Process == history.Evidence {
			continue
		}
		e.out = e.out[:0]
		if err := e.op(&op); err != nil {
			return fmt.Errorf("write operation %d as EDN: %w", op.Index, err)
		}
		if _, err := out.Write(e.out); err != nil {
			return fmt.Errorf("write EDN: %w", err)
		}
	}
	return out.Flush()
}

// ednWriter writes EDN from operations, whose values are JSON.
type ednWriter struct{ out []byte }

func (e *ednWriter) add(text string) { e.out = append(e.out, text...) }

func (e *ednWriter) op(op *history.Op) error {
	value, seen, refused := op.Value, json.RawMessage(nil), false
	typ := op.Type
	if op.F == "cas" && op.Type == history.OK {
		value, seen, refused = compared(op.Value)
		if refused {
			typ = history.Fail
		}
	}
	e.add("{:index ")
	e.out = strconv.AppendInt(e.out, op.Index, 10)
	e.add(", :time ")
	e.out = strconv.AppendInt(e.out, int64(op.Time), 10)
	e.add(", :type :" + typ.String() + ", :process ")
	if !op.Process.IsClient() {
		e.add(":")
	}
	e.add(op.Process.String() + ", :f ")
	e.word(op.F)
	e.add(", :value ")
	if op.Key != "" {
		e.add("[")
		e.key(op.Key)
		e.add(" ")
	}
	if err := e.value(value, op.F == "txn"); err != nil {
		return err
	}
	if op.Key != "" {
		e.add("], :independent true")
	}
	if refused {
		e.add(", :refused true")
		if seen != nil {
			e.add(", :seen ")
			if err := e.value(seen, false); err != nil {
				return err
			}
		}
	}
	e.attributes(op)
	e.add("}\n")
	return nil
}

func (e *ednWriter) attributes(op *history.Op) {
	for _, n := range []struct {
		name  string
		value int64
	}{{"version", op.Version}, {"revision", op.Revision}} {
		if n.value != 0 {
			e.add(", :" + n.name + " " + strconv.FormatInt(n.value, 10))
		}
	}
	if op.Node != "" {
		e.add(", :node ")
		e.text(op.Node)
	}
	if op.Error != "" {
		e.add(", :error ")
		e.text(op.Error)
	}
}

// compared takes the value of an ok compare-and-set apart: [old, new, succeeded, seen].
func compared(v json.RawMessage) (value, seen json.RawMessage, refused bool) {
	var parts []json.RawMessage
	if json.Unmarshal(v, &parts) != nil || len(parts) < 3 {
		return v, nil, false
	}
	if string(parts[2]) != "false" {
		return v, nil, false
	}
	if len(parts) > 3 {
		seen = parts[3]
	}
	return fmt.Appendf(nil, "[%s,%s]", parts[0], parts[1]), seen, true
}

// key writes a key: a number where it is one.
func (e *ednWriter) key(key string) {
	if n, err := strconv.ParseInt(key, 10, 64); err == nil && strconv.FormatInt(n, 10) == key {
		e.add(key)
		return
	}
	e.text(key)
}

// word writes a name as a keyword, where it can be one.
func (e *ednWriter) word(name string) {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.*+!?<>="
	if name == "" || strings.Trim(name, plain) != "" {
		e.text(name)
		return
	}
	e.add(":" + name)
}

func (e *ednWriter) text(s string) {
	e.add(`"`)
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			e.out = append(e.out, '\\', byte(c))
		case c == '\n':
			e.add(`\n`)
		case c == '\t':
			e.add(`\t`)
		case c == '\r':
			e.add(`\r`)
		case c < ' ' || c == 0x7f:
			e.out = fmt.Appendf(e.out, `\u%04x`, c)
		default:
			e.out = utf8.AppendRune(e.out, c)
		}
	}
	e.add(`"`)
}

// value writes JSON as EDN. micro: it is a transaction, whose micro-operations begin with their names.
func (e *ednWriter) value(v json.RawMessage, micro bool) error {
	if len(v) == 0 {
		e.add("nil")
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(v))
	dec.UseNumber()
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if err := e.token(dec, t, micro, 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

func (e *ednWriter) token(dec *json.Decoder, t json.Token, micro bool, depth int) error {
	switch t := t.(type) {
	case nil:
		e.add("nil")
	case bool:
		e.add(strconv.FormatBool(t))
	case json.Number:
		e.add(t.String())
	case string:
		e.text(t)
	case json.Delim:
		return e.collection(dec, t, micro, depth+1)
	}
	return nil
}

func (e *ednWriter) collection(dec *json.Decoder, begin json.Delim, micro bool, depth int) error {
	if depth > depthMax {
		return fmt.Errorf("nested more than %d deep", depthMax)
	}
	e.add(begin.String())
	for n := 0; dec.More(); n++ {
		if n > 0 {
			e.add(" ")
		}
		t, err := dec.Token()
		if err != nil {
			return err
		}
		if name, ok := t.(string); ok && micro && depth == 2 && n == 0 && begin == '[' {
			e.word(name)
		} else if err := e.token(dec, t, micro, depth); err != nil {
			return err
		}
	}
	end, err := dec.Token()
	if err != nil {
		return err
	}
	e.add(fmt.Sprint(end))
	return nil
}

package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// slowDecode is the decoder's dumb twin, by encoding/json.
func slowDecode(line []byte, ordinal int64) (Op, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return Op{}, err
	}
	if fields == nil {
		return Op{}, fmt.Errorf("null")
	}
	has := func(name string) bool { return fields[name] != nil && string(fields[name]) != "null" }
	number := func(name string, missing int64) (n int64, err error) {
		if !has(name) {
			return missing, nil
		}
		return n, json.Unmarshal(fields[name], &n)
	}
	text := func(name string) string {
		if !has(name) {
			return ""
		}
		var s string
		if json.Unmarshal(fields[name], &s) != nil {
			return string(fields[name])
		}
		return s
	}
	if !has("type") || !has("process") || !has("f") {
		return Op{}, fmt.Errorf("a field is missing")
	}
	op := Op{F: text("f"), Key: text("key"), Node: text("node"), Error: text("error")}
	var err error
	if op.Type, err = ParseType(text("type")); err != nil {
		return Op{}, err
	}
	switch p := text("process"); p {
	case "nemesis", "evidence":
		op.Process = map[string]Process{"nemesis": Nemesis, "evidence": Evidence}[p]
	default:
		var n uint64
		if err := json.Unmarshal(bytes.TrimPrefix(fields["process"], []byte("-0")), &n); err != nil || n > math.MaxInt64 {
			if string(fields["process"]) != "-0" {
				return Op{}, fmt.Errorf("process %s", p)
			}
		}
		op.Process = Process(n)
	}
	if op.Index, err = number("index", ordinal); err != nil {
		return Op{}, err
	}
	ns, err := number("time", op.Index)
	if err != nil {
		return Op{}, err
	}
	op.Time = time.Duration(ns)
	if op.Version, err = number("version", 0); err != nil {
		return Op{}, err
	}
	if op.Revision, err = number("revision", 0); err != nil {
		return Op{}, err
	}
	if has("value") {
		op.Value = fields["value"]
	}
	return op, nil
}

// decodeAt decodes a line that so many operations are before.
func decodeAt(d *decoder, line []byte, ordinal int64, op *Op) error {
	if err := d.decode(line, op); err != nil {
		return err
	}
	seq := sequence{count: ordinal}
	index := op.Index
	if err := seq.take(op, Given{d.hasIndex, d.hasTime}, 1); err != nil && (!d.hasIndex || index >= 0) {
		return err
	}
	return nil
}

// FuzzLine holds the decoder against its twin, and writing against reading.
func FuzzLine(f *testing.F) {
	for _, op := range []Op{event(0), event(1), {Type: Info, Process: Nemesis, F: "start-kill", Error: "a\x00\xff\n\"b\"\\ü"}} {
		f.Add(appendLine(nil, &op))
	}
	f.Add([]byte(invokeLine))
	f.Add([]byte(failLine))
	f.Add([]byte(`{"\u0066":"r","type":"o\u006b","process":9223372036854775807,"index":-0,"time":-9223372036854775808}`))
	f.Add([]byte(`{"f":"r","type":"ok","process":1,"value":[1.5e-7,-0,true,false,null,"\ud83d\ude00",{"a":{"b":[]}}]}`))
	f.Add([]byte(`{"f":"r","f":null,"f":7,"type":"fail","process":"evidence","value":null}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var got Op
		err := decodeAt(newDecoder(), line, 11, &got)
		want, slowErr := slowDecode(line, 11)
		if (err == nil) != (slowErr == nil) {
			t.Fatalf("%q\nerror %v, the twin's %v", line, err, slowErr)
		}
		if err != nil {
			return
		}
		if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); a != b {
			t.Fatalf("%q\n%s, the twin's\n%s", line, a, b)
		}
		again := appendLine(nil, &got)
		var back Op
		if err := decodeAt(newDecoder(), again, 11, &back); err != nil || fmt.Sprintf("%+v", back) != fmt.Sprintf("%+v", got) {
			t.Fatalf("%q\nwritten as %q\nread as %+v, %v", line, again, back, err)
		}
	})
}

// FuzzValue holds the check of values against encoding/json.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"1", "[1, 2]", `"\u00e9\n"`, "-0.5E+10", "01", "1.", "{\"a\":1,}", " 1 ", "\"\x01\"", "nul", "--1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		want := json.Valid(value) && !bytes.ContainsAny(value, "\r\n")
		if err := checkValue(value); (err == nil) != want {
			t.Errorf("%q: %v, encoding/json says %v", value, err, want)
		}
	})
}

// FuzzString holds what is written as a string against encoding/json.
func FuzzString(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\x1f \"\\/\u2028\xff\xc3ü😀")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil || got != strings.ToValidUTF8(s, "\uFFFD") && !strings.Contains(got, "\uFFFD") {
			t.Errorf("%q became %q, %v", s, got, err)
		}
	})
}

func TestDeepValues(t *testing.T) {
	deep := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	for _, n := range []int{1, 9_998, 9_999, 10_000, 10_001, 1_000_000} {
		line := fmt.Appendf(nil, `{"type":"ok","f":"r","process":0,"value":%s}`, deep(n))
		_, slowErr := slowDecode(line, 0)
		if err := newDecoder().decode(line, new(Op)); (err == nil) != (slowErr == nil) {
			t.Errorf("depth %d: %v, the twin says %v", n, err, slowErr)
		}
		if n < depthMax && checkValue(deep(n)) != nil {
			t.Errorf("depth %d: refused", n)
		}
		if n >= depthMax && checkValue(deep(n)) == nil {
			t.Errorf("depth %d: accepted, but its line could not be read", n)
		}
	}
}

// Values stay valid and apart from each other however many lines are read after.
func TestValuesAreKept(t *testing.T) {
	d := newDecoder()
	var ops []Op
	for i := range 10_000 {
		var op Op
		line := fmt.Appendf(nil, `{"type":"ok","f":"r","process":0,"value":"%s%d"}`, strings.Repeat("x", i%50*400), i)
		if err := decodeAt(d, line, int64(i), &op); err != nil {
			t.Fatal(err)
		}
		clear(line)
		ops = append(ops, op)
	}
	for i, op := range ops {
		if want := fmt.Sprintf(`"%s%d"`, strings.Repeat("x", i%50*400), i); string(op.Value) != want || cap(op.Value) != len(op.Value) && len(op.Value) <= arenaBytes/4 {
			t.Fatalf("value %d is %.40q…, want %.40q…", i, op.Value, want)
		}
	}
}

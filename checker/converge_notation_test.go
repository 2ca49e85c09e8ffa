package checker

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// A run is written as lines of a time in seconds and what happened then:
//
//	0   declare d1               a client changes what is declared; "declare? d1": its outcome stays unknown
//	5   start kill-1             the nemesis starts a fault (proved), "stop kill-1" ends it
//	20  healthy                  await-healthy; "unhealthy": it failed
//	20  await 30 5 stated        await-converged: bound, hold, stated or retry=SECONDS; its completion is
//	50  converged                or "gave-up"
//	1   all d1=2/3@7 p1!         a sample of every view, at the revision of the newest object; "quorum …", "n1 …", "store …" of one
//	1   n1 r=9 d1=2/3@7          at another revision
//	1   n1 k=Box b=1/1@8         of another kind than Thing
//	1   n1 error connection refused
//
// An object is NAME=HAVE/WANT@VERSION; it matches if the two are equal. A ! behind it: its finalizer keeps it; a ^: its owner is gone;
// a +: it is one too many; <o: o owns it. "..5" before a line repeats it at each second up to that time: "10..15 all d1=3/3@8".
func converging(t testing.TB, text string) history.Slice {
	t.Helper()
	var h history.Slice
	add := func(at float64, op history.Op) {
		op.Index, op.Time = int64(len(h)), time.Duration(at*1e9)
		h = append(h, op)
	}
	for line := range strings.SplitSeq(text, "\n") {
		words := strings.Fields(line)
		if len(words) < 2 || strings.HasPrefix(words[0], "#") {
			continue
		}
		first, last, ranged := strings.Cut(words[0], "..")
		from, to := number(t, first), number(t, first)
		if ranged {
			to = number(t, last)
		}
		for at := from; at <= to; at++ {
			for _, op := range opsOf(t, h, words[1:]) {
				add(at, op)
			}
		}
	}
	return h
}

func number(t testing.TB, word string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(word, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// opsOf are the operations of one line.
func opsOf(t testing.TB, h history.Slice, words []string) []history.Op {
	t.Helper()
	both := func(p history.Process, f, value string, typ history.Type) []history.Op {
		return []history.Op{
			{Process: p, Type: history.Invoke, F: f, Value: raw(value)}, {Process: p, Type: typ, F: f, Value: raw(value)},
		}
	}
	switch words[0] {
	case "declare":
		return both(0, "scale", "", history.OK)
	case "declare?":
		return both(history.Process(len(h)+1), "scale", "", history.Info)
	case "read":
		return both(0, "read", "", history.OK)
	case "start", "stop":
		family, _, _ := strings.Cut(words[1], "-")
		return both(history.Nemesis, words[0]+"-"+family, fmt.Sprintf(`{"id":%q,"family":%q,"proof":1}`, words[1], family), history.OK)
	case "healthy":
		return both(history.Nemesis, history.FAwaitHealthy, "", history.OK)
	case "unhealthy":
		return both(history.Nemesis, history.FAwaitHealthy, "", history.Info)
	case "await":
		return both(history.Nemesis, history.FAwaitConverged, awaitValue(t, words[1:]), history.OK)[:1]
	case "converged":
		return []history.Op{{Process: history.Nemesis, Type: history.OK, F: history.FAwaitConverged}}
	case "gave-up":
		return []history.Op{{Process: history.Nemesis, Type: history.Info, F: history.FAwaitConverged}}
	case "all":
		var out []history.Op
		for _, v := range []string{history.ViewQuorum, "n1", "n2", history.ViewStore} {
			out = append(out, sampleOp(t, v, words[1:]))
		}
		return out
	}
	return []history.Op{sampleOp(t, words[0], words[1:])}
}

func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

func awaitValue(t testing.TB, words []string) string {
	t.Helper()
	c := history.Convergence{BoundMS: int64(number(t, words[0]) * 1000), HoldMS: int64(number(t, words[1]) * 1000)}
	for _, w := range words[2:] {
		if retry, ok := strings.CutPrefix(w, "retry="); ok {
			c.RetryMS = int64(number(t, retry) * 1000)
		} else {
			c.Stated = w == "stated"
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sampleOp is a whole sample of a view.
func sampleOp(t testing.TB, view string, words []string) history.Op {
	t.Helper()
	s, op := history.Sample{View: view, Kind: "Thing", Whole: true}, history.Op{Process: history.Evidence, Type: history.Info, F: history.FSample}
	if len(words) > 0 && words[0] == "error" {
		s.Whole, words = false, words[1:]
		if kind, ok := strings.CutPrefix(words[0], "k="); ok {
			s.Kind, words = kind, words[1:]
		}
		s.Error, words = strings.Join(words, " "), nil
	}
	for _, w := range words {
		if r, ok := strings.CutPrefix(w, "r="); ok {
			op.Revision = int64(number(t, r))
			continue
		}
		if kind, ok := strings.CutPrefix(w, "k="); ok {
			s.Kind = kind
			continue
		}
		o := thing(t, w)
		o.Kind = s.Kind
		s.Changed = append(s.Changed, o)
		op.Revision = max(op.Revision, o.Version)
	}
	value, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	op.Value = value
	return op
}

// thing reads NAME=HAVE/WANT@VERSION and its marks.
func thing(t testing.TB, word string) history.Object {
	t.Helper()
	name, rest, _ := strings.Cut(word, "=")
	numbers, version, ok := strings.Cut(rest, "@")
	have, want, ok2 := strings.Cut(numbers, "/")
	if !ok || !ok2 {
		t.Fatalf("%q: want NAME=HAVE/WANT@VERSION", word)
	}
	o := history.Object{Kind: "Thing", Name: name, UID: "uid-" + name, Attr: map[string]string{}}
	if at := strings.IndexByte(version, '<'); at >= 0 {
		o.Owners = []history.Owner{{Kind: "Thing", Name: version[at+1:], UID: "uid-" + version[at+1:]}}
		version = version[:at]
	}
	for mark, rule := range map[string]string{"!": history.MismatchFinalizer, "^": history.MismatchOwner, "+": history.MismatchDuplicated} {
		if strings.HasSuffix(version, mark) {
			o.Attr["broken"], version = rule, strings.TrimSuffix(version, mark)
		}
	}
	o.Version = int64(number(t, version))
	o.Have, o.Want = map[string]int64{"n": int64(number(t, have))}, map[string]int64{"n": int64(number(t, want))}
	return o
}

// things are the rules of the notation.
func things(objects []history.Object) []history.Mismatch {
	var out []history.Mismatch
	for _, o := range objects {
		m := history.Mismatch{Kind: o.Kind, Name: o.Name, Component: "maker"}
		switch {
		case o.Attr["broken"] != "":
			m.Rule, m.Why = o.Attr["broken"], "it is there"
		case o.Have["n"] != o.Want["n"]:
			m.Rule, m.Why = "n", fmt.Sprintf("%d of %d", o.Have["n"], o.Want["n"])
		default:
			continue
		}
		out = append(out, m)
	}
	return out
}

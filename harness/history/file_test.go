package history

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	invokeLine = `{"process": 3, "type": "invoke", "f": "cas", "value": [1, 2], "extra": {"a": [1, {}]}}`
	failLine   = ` {"process": 3, "type": "fail", "f": "cas", "value": [1, 2], "error": ["timeout", 5]} `
)

func TestImportedLines(t *testing.T) {
	for name, test := range map[string]struct {
		text     string
		want     string
		complete bool
		note     string
	}{
		"index and time are given by the place": {
			invokeLine + "\n" + failLine + "\n",
			"3 invoke cas [1, 2]\n3 fail cas [1, 2] ! \"[\\\"timeout\\\", 5]\"\n", true, "",
		},
		"no last line break":      {invokeLine + "\n" + failLine, "3 invoke cas [1, 2]\n3 fail cas [1, 2] ! \"[\\\"timeout\\\", 5]\"\n", true, ""},
		"line breaks of Windows":  {invokeLine + "\r\n\r\n", "3 invoke cas [1, 2]\n", true, ""},
		"indexes of a part":       {`{"index":7,"process":0,"type":"invoke","f":"r"}` + "\n" + `{"index":9,"process":0,"type":"info","f":"r"}`, "0 invoke r i=7\n0 info r i=9\n", true, ""},
		"a key that is a number":  {`{"key":12,"process":0,"type":"ok","f":"r","index":null}`, "0 ok r k=\"12\"\n", true, ""},
		"the nemesis":             {`{"process":"nemesis","type":"info","f":"start"}`, "nemesis info start\n", true, ""},
		"the last line is cut":    {invokeLine + "\n" + failLine[:30], "3 invoke cas [1, 2]\n", false, "recovered prefix: 1 operations up to byte offset 87; what follows is a line that is cut off after 30 bytes"},
		"the only line is cut":    {invokeLine[:30], "", false, "recovered prefix: 0 operations up to byte offset 0"},
		"nothing":                 {"", "", false, "the file is empty"},
		"nothing but line breaks": {"\n \n", "", false, "white space only"},
	} {
		f, got, err := readBytes([]byte(test.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if Format(got) != test.want || f.Complete() != test.complete {
			t.Errorf("%s: complete %v\n%s\nwant\n%s", name, f.Complete(), Format(got), test.want)
		}
		if note := f.Recovered(); !strings.Contains(note, test.note) || (note == "") != test.complete {
			t.Errorf("%s: note %q, want …%s…", name, note, test.note)
		}
	}
}

func TestForeignFiles(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"a program":           {"\x7fELF\x02\x01\x01\x00\x00", "line 1, offset 0"},
		"gzip":                {"\x1f\x8b\x08\x00\n\n\n", "line 1, offset 0"},
		"EDN":                 {"{:type :invoke, :f :read}\n", "line 1, offset 0"},
		"other JSON":          {"[1, 2]\n", "line 1, offset 0"},
		"lines of a log":      {"\n" + `{"level":"info"}` + "\n", `line 2, offset 1: not a history (want zstd frames or JSON lines): no "type"`},
		"an unknown type":     {`{"process":1,"type":"done","f":"r"}` + "\n", "unknown operation type"},
		"no process":          {`{"type":"ok","f":"r"}` + "\n", `no "process"`},
		"a process below 0":   {`{"process":-1,"type":"ok","f":"r"}` + "\n", `"process": -1: want a number from 0`},
		"a fractional index":  {`{"process":1,"type":"ok","f":"r","index":1.5}` + "\n", `"index": 1.5: want an integer`},
		"a time past 64 bits": {`{"process":1,"type":"ok","f":"r","time":9223372036854775808}` + "\n", "64 bits"},
		"a very long line":    {strings.Repeat(" ", LineMax+1), "16 MiB"},
	} {
		_, _, err := readBytes([]byte(test.content))
		if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want ErrForeign and …%s…", name, err, test.want)
		}
	}
}

func TestBadLinesInTheMiddle(t *testing.T) {
	const line = `{"index":5,"time":50,"process":1,"type":"ok","f":"r"}` + "\n"
	for name, test := range map[string]struct{ second, want string }{
		"not JSON":             {"{\"index\":6,,}\n", "line 2: not valid JSON at byte 11"},
		"an index again":       {line, "line 2, index 5: it follows index 5"},
		"an index below 0":     {`{"index":-1,"process":1,"type":"ok","f":"r"}` + "\n", "line 2, index -1: an index is at least 0"},
		"time runs backwards":  {`{"index":6,"time":49,"process":1,"type":"ok","f":"r"}` + "\n", "line 2, index 6: 49ns follows 50ns"},
		"a line that is long":  {strings.Repeat("x", LineMax+1) + "\n", "line 2: longer than the 16 MiB"},
		"two objects":          {strings.Repeat(line[:len(line)-1], 2) + "\n", "line 2: not valid JSON at byte 53: more behind"},
		"a type of two people": {`{"index":6,"process":1,"type":7,"f":"r"}` + "\n", `line 2: "type": "7": unknown operation type`},
	} {
		_, got, err := readBytes([]byte(line + test.second + strings.ReplaceAll(line, "5", "7")))
		if err == nil || !strings.Contains(err.Error(), test.want) || len(got) != 1 {
			t.Errorf("%s: %d operations, %v, want 1 and …%s…", name, len(got), err, test.want)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{filepath.Join(dir, "none"): "no such file", dir: "not a regular file"} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want …%s…", path, err, want)
		}
	}
}

func TestLoadKeepsWhatTheFileSaid(t *testing.T) {
	content, ops := smallFile(t, 3)
	for _, cut := range []int{0, 5} {
		path := filepath.Join(t.TempDir(), "h")
		if err := os.WriteFile(path, content[:len(content)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Load(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := collect(m)
		if err != nil || Format(got) != Format(ops) || m.Complete() != (cut == 0) || m.Recovered() != f.Recovered() {
			t.Errorf("cut %d: %d operations, complete %v, note %q, %v", cut, len(got), m.Complete(), m.Recovered(), err)
		}
		if _, err := Load(f); err == nil {
			t.Error("a closed file could be read")
		}
	}
	if m, err := Load(ops); err != nil || !m.Complete() || m.Recovered() != "" {
		t.Errorf("a slice: %v", err)
	}
}

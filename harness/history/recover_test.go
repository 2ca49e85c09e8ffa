package history

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// smallFile is the bytes of a history of several frames, and its operations.
func smallFile(t testing.TB, frames int) ([]byte, Slice) {
	t.Helper()
	path := t.TempDir() + "/h"
	w, err := CreateWith(path, Options{Clock: virtual(time.Millisecond), FlushInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	var ops Slice
	for i := range frames * 4 {
		op := event(i)
		if err := w.Append(&op); err != nil {
			t.Fatal(err)
		}
		ops = append(ops, op)
		if i%4 == 3 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content, ops
}

// readBytes opens a file's content and reads all of it.
func readBytes(content []byte) (*File, Slice, error) {
	f, err := newFile("h", bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, nil, err
	}
	ops, err := collect(f)
	return f, ops, err
}

// extents are the frames of a file.
func extents(t testing.TB, content []byte) (frames []frame) {
	t.Helper()
	for end := int64(0); end < int64(len(content)); {
		f, err := frameAt(bytes.NewReader(content), end, int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		frames, end = append(frames, f), f.end
	}
	return frames
}

func TestEveryTruncationLeavesAPrefix(t *testing.T) {
	content, ops := smallFile(t, 5)
	frames := extents(t, content)
	for n := range content {
		whole := 0 // frames with content before the cut
		for _, f := range frames {
			if !f.skippable && f.end <= int64(n) {
				whole++
			}
		}
		f, got, err := readBytes(content[:n])
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if f.Complete() {
			t.Errorf("cut at %d: complete", n)
		}
		if want := ops[:whole*4]; Format(got) != Format(want) {
			t.Errorf("cut at %d: %d operations, want %d", n, len(got), len(want))
		}
		if want := fmt.Sprintf("recovered prefix: %d operations up to byte offset ", whole*4); !strings.HasPrefix(f.Recovered(), want) {
			t.Errorf("cut at %d: note %q, want %q…", n, f.Recovered(), want)
		}
	}
	if f, got, err := readBytes(content); err != nil || !f.Complete() || Format(got) != Format(ops) {
		t.Errorf("the whole file: %v, %d operations", err, len(got))
	}
}

// isPrefix tells whether got is the beginning of ops.
func isPrefix(got, ops Slice) bool {
	return len(got) <= len(ops) && Format(got) == Format(ops[:len(got)])
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	content, ops := smallFile(t, 3)
	for i := range content {
		for bit := range 8 {
			damaged := slices.Clone(content)
			damaged[i] ^= 1 << bit
			f, got, err := readBytes(damaged)
			switch {
			case err != nil && len(got) == 0: // refused as a whole
			case err != nil:
				t.Errorf("byte %d, bit %d: opened, then %v", i, bit, err)
			case f.Complete():
				t.Errorf("byte %d, bit %d: complete", i, bit)
			case !isPrefix(got, ops):
				t.Errorf("byte %d, bit %d: not a prefix:\n%s", i, bit, Format(got))
			}
		}
	}
}

func TestDamageToFrames(t *testing.T) {
	content, _ := smallFile(t, 4)
	frames := extents(t, content) // header, four of four operations, mark
	at := func(order ...int) (b []byte) {
		for _, i := range order {
			b = append(b, content[frames[i].start:frames[i].end]...)
		}
		return b
	}
	for name, test := range map[string]struct {
		content []byte
		ops     int
		note    string
	}{
		"no mark":            {at(0, 1, 2), 8, "what follows is nothing: there is no completion mark"},
		"header only":        {at(0), 0, "no completion mark"},
		"mark only":          {at(0, 5), 0, "completion mark that does not agree"},
		"one frame missing":  {at(0, 1, 3, 4, 5), 4, "want index 4 here"},
		"first missing":      {at(0, 2, 3, 4, 5), 0, "want index 0 here"},
		"last missing":       {at(0, 1, 2, 3, 5), 12, "completion mark that does not agree"},
		"swapped":            {at(0, 1, 3, 2, 4, 5), 4, "want index 4 here"},
		"twice":              {at(0, 1, 1, 2, 3, 4, 5), 4, "want index 4 here"},
		"two files":          {at(0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5), 16, "has something behind it"},
		"zeros behind":       {append(at(0, 1, 2, 3, 4, 5), make([]byte, 4096)...), 16, "has something behind it"},
		"zeros after a kill": {append(at(0, 1, 2), make([]byte, 4096)...), 8, "4096 bytes that are not read"},
		"text behind":        {append(at(0, 1), "{\"index\":4}\n"...), 4, "no zstd frame"},
		"format of tomorrow": {bytes.Replace(at(0, 1), []byte(`"format":1`), []byte(`"format":2`), 1), 0, "does not know"},
	} {
		f, got, err := readBytes(test.content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got) != test.ops || f.Complete() || !strings.Contains(f.Recovered(), test.note) {
			t.Errorf("%s: %d operations (want %d), complete %v, note %q (want …%s…)",
				name, len(got), test.ops, f.Complete(), f.Recovered(), test.note)
		}
	}
}

// A frame that is as it was written but holds lines that break the order ends the prefix, mark or not.
func TestAWriterFileWithAGapIsCutThere(t *testing.T) {
	enc, err := newCompressor()
	if err != nil {
		t.Fatal(err)
	}
	lines := func(indexes ...int64) []byte {
		var b []byte
		for _, i := range indexes {
			b = appendLine(b, &Op{Index: i, Type: Invoke, Process: Process(i), F: "read"})
		}
		return enc.EncodeAll(b, nil)
	}
	content := slices.Concat(header, lines(0, 1), lines(2, 4, 5), lines(6))
	f, got, err := readBytes(content)
	if err != nil || len(got) != 2 || f.Complete() {
		t.Errorf("%d operations, %v", len(got), err)
	}
	if want := "line 4, index 4: want index 3 here"; !strings.Contains(f.Recovered(), want) {
		t.Errorf("note %q, want …%s…", f.Recovered(), want)
	}
}

func TestAZstdFileOfAnotherProgram(t *testing.T) {
	enc, err := newCompressor()
	if err != nil {
		t.Fatal(err)
	}
	pack := func(s string) []byte { return enc.EncodeAll([]byte(s), nil) }
	const a, b = `{"process":0,"type":"invoke","f":"read","value":null}`, `{"process":0,"type":"ok","f":"read","value":4}`
	for name, test := range map[string]struct {
		content []byte
		ops     int
		note    string
		err     string
	}{
		"one frame":            {pack(a + "\n" + b + "\n"), 2, "recovered prefix: 2 operations", ""},
		"a line in two frames": {slices.Concat(pack(a+"\n"+b[:9]), pack(b[9:]+"\n")), 2, "recovered prefix: 2 operations", ""},
		"cut between them":     {pack(a + "\n" + b[:9]), 1, "recovered prefix: 1 operations", ""},
		"cut in the second":    {slices.Concat(pack(a+"\n"+b[:9]), pack(b[9:] + "\n")[:20]), 1, "recovered prefix: 1 operations", ""},
		"no last line break":   {pack(a + "\n" + b), 2, "recovered prefix: 2 operations", ""},
		"no operations":        {pack("lorem ipsum\n"), 0, "", "line 1"},
		"a bad line":           {pack(a + "\n{}\n" + b + "\n"), 0, "", `line 2: no "type"`},
	} {
		f, got, err := readBytes(test.content)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: error %v, want …%s…", name, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got) != test.ops || f.Complete() || !strings.HasPrefix(f.Recovered(), test.note) {
			t.Errorf("%s: %d operations, complete %v, note %q", name, len(got), f.Complete(), f.Recovered())
		}
	}
}

func FuzzOpen(f *testing.F) {
	content, _ := smallFile(f, 2)
	f.Add(content)
	f.Add(content[:len(content)-7])
	f.Add(content[len(header):])
	f.Add([]byte("{\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"value\":null}\n{\"process\":0,\"ty"))
	f.Add([]byte(""))
	f.Fuzz(holdsTogether)
}

// FuzzContent is FuzzOpen behind the checksums: whole frames with any content, by a Writer or another program.
func FuzzContent(f *testing.F) {
	enc, err := newCompressor()
	if err != nil {
		f.Fatal(err)
	}
	first, second := event(0), event(1)
	second.Index = 1
	f.Add(appendLine(nil, &first), appendLine(nil, &second), true)
	f.Add([]byte(invokeLine+"\n"+failLine[:9]), []byte(failLine[9:]), false)
	f.Fuzz(func(t *testing.T, first, second []byte, own bool) {
		content := slices.Concat(enc.EncodeAll(first, nil), enc.EncodeAll(second, nil))
		if own {
			content = slices.Concat(header, content)
		}
		holdsTogether(t, content)
	})
}

// holdsTogether checks what is true of every file, damaged, foreign or hostile.
func holdsTogether(t *testing.T, content []byte) {
	file, ops, err := readBytes(content)
	if file == nil || err != nil {
		return
	}
	if file.Complete() != (file.Recovered() == "") {
		t.Errorf("complete %v, note %q", file.Complete(), file.Recovered())
	}
	if file.count >= 0 && int64(len(ops)) != file.count {
		t.Errorf("%d operations, want %d", len(ops), file.count)
	}
	for i := 1; i < len(ops); i++ {
		if ops[i].Index <= ops[i-1].Index || ops[i].Time < ops[i-1].Time {
			t.Errorf("operation %d is out of order", i)
		}
	}
	// What was recovered can be recovered from itself alone.
	if file.kind != kindPlain && file.end < file.size && !file.complete {
		again, prefix, err := readBytes(content[:file.end])
		if err != nil || len(prefix) != len(ops) || again.Complete() {
			t.Errorf("the prefix alone: %d operations, want %d; %v", len(prefix), len(ops), err)
		}
	}
}

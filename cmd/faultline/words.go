package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/results"
)

// decodeFault reads the value of a start- or stop- operation.
func decodeFault(op history.Op) (history.Fault, error) {
	var f history.Fault
	if err := json.Unmarshal(op.Value, &f); err != nil {
		return f, fmt.Errorf("operation %d: its value is not a fault: %w", op.Index, err)
	}
	return f, nil
}

// describeFault is a fault in a few words: "partition leader+drop+peer on n2".
func describeFault(family string, f history.Fault) string {
	out := family
	if f.Variant != "" {
		out += " " + f.Variant
	}
	if len(f.Nodes) > 0 {
		out += " on " + strings.Join(f.Nodes, ",")
	}
	return out
}

// shellWord quotes a word for a POSIX shell where that is needed, for a person to copy.
func shellWord(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,+=@%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func asText(v any) string { return fmt.Sprint(v) }

// harnessVersion is the module's version where it was installed by one, else the commit it was built from.
func harnessVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	if version == "" {
		version = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && !strings.Contains(version, s.Value[:12]) {
			version += " " + s.Value[:12]
		}
	}
	return version
}

func thisHarness(kernel string) results.Harness {
	return results.Harness{Version: harnessVersion(), Go: runtime.Version(), Kernel: kernel, CPUs: runtime.NumCPU()}
}

// faultLine is a fault as results.json and the console tell it.
func faultLine(w history.Window) results.Fault {
	f := results.Fault{
		ID: w.ID, Variant: w.Variant, Nodes: w.Nodes, Proved: w.Proved, Proof: string(w.Proof), Start: w.StartInvoke.Time, Note: w.Skipped,
	}
	if w.StopComplete.Known {
		f.End = w.StopComplete.Time
	}
	if f.Note == "" && len(w.Unsure) > 0 {
		f.Note = "not proved: " + strings.Join(w.Unsure, "; ")
	}
	return f
}

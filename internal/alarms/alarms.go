// Package alarms finds the lines in a node's logs that no healthy program writes, and brings whole logs to the driver. It knows what the Go runtime
// writes when a program comes to grief; what else is alarming each system says itself.
package alarms

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// Alarm is a pattern of log line that no healthy program writes, however often it, its servers or its network are killed, stopped, cut or healed.
type Alarm struct {
	Name string
	Line *regexp.Regexp
	// Not, where not nil, are lines that Line matches and that are no alarm.
	Not *regexp.Regexp
}

// GoRuntime are what any program in Go writes when it comes to grief.
var GoRuntime = []Alarm{
	{Name: "panic", Line: regexp.MustCompile(`^panic: `)},
	{Name: "fatal", Line: regexp.MustCompile(`^fatal error: `)},
	{Name: "signal", Line: regexp.MustCompile(`^\[signal SIG|^SIG(SEGV|BUS|ILL|ABRT): |^unexpected fault address`)},
	{Name: "data race", Line: regexp.MustCompile(`^WARNING: DATA RACE`)},
}

const (
	// perLogMax bounds the evidence that one log can give: a crash loop says the same thing again and again.
	perLogMax = 100
	// lineBytesMax bounds the part of a line that is looked at and kept.
	lineBytesMax = 2000
)

// Search is Scan of a component's log, which is a file on a node.
func Search(ctx context.Context, n harness.Node, component, file string, of []Alarm) ([]history.Op, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(n.Download(ctx, file, w)) }()
	ops, err := Scan(n.Name(), component, r, of)
	r.Close() // ends the download if the scan did not reach the end
	if err != nil {
		return ops, fmt.Errorf("read the log of %s on %s: %w", component, n.Name(), err)
	}
	return ops, nil
}

// Scan returns an evidence operation for each line of alarm, at most 100, and one without a pattern if it read the log to its end: it says that
// somebody looked. The first alarm whose Line matches decides about a line.
func Scan(node, component string, log io.Reader, of []Alarm) ([]history.Op, error) {
	var ops []history.Op
	note := func(pattern, line string) error {
		value, err := json.Marshal(history.LogLine{Component: component, Pattern: pattern, Line: line})
		ops = append(ops, history.Op{Type: history.Info, Process: history.Evidence, F: history.FLog, Node: node, Value: value})
		return err
	}
	lines := 0
	for r := bufio.NewReaderSize(log, 64<<10); len(ops) < perLogMax; lines++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			err := note("", fmt.Sprintf("%d lines were searched", lines))
			return ops, err
		}
		if err != nil {
			return ops, err
		}
		if name, ok := alarmOf(line, of); ok {
			if err := note(name, string(line)); err != nil {
				return ops, err
			}
		}
	}
	return ops, nil
}

func alarmOf(line []byte, of []Alarm) (name string, ok bool) {
	for _, a := range of {
		if a.Line.Match(line) {
			return a.Name, a.Not == nil || !a.Not.Match(line)
		}
	}
	return "", false
}

// readLine is the next line without its end, cut at lineBytesMax.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, isPrefix, err := r.ReadLine()
		if err != nil {
			return nil, err
		}
		line = append(line, part[:min(len(part), lineBytesMax-len(line))]...)
		if !isPrefix {
			return line, nil
		}
	}
}

// Download copies a file from a node to the driver; what is there of a broken download stays.
func Download(ctx context.Context, n harness.Node, from, to string) error {
	f, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("collect %s of %s: %w", from, n.Name(), err)
	}
	if err := errors.Join(n.Download(ctx, from, f), f.Close()); err != nil {
		return fmt.Errorf("collect %s of %s: %w", from, n.Name(), err)
	}
	return nil
}

package checker

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/faultline/faultline/harness/history"
)

// alarm is a row of the table of what a node's log may say that is a broken promise by itself.
type alarm struct {
	// pattern is history.LogLine's Pattern.
	pattern string
	// anomaly is the name that it is reported by.
	anomaly string
	doc     string
}

// alarms are the patterns that who collects the logs may report. A pattern that is not here is reported by its own name.
var alarms = []alarm{
	{"panic", "panic", "the process ended in a panic"},
	{"fatal", "fatal", "the process gave up by itself"},
	{"data corruption", "corruption", "the process found its data corrupted"},
	{"corruption", "corruption", "the same"},
	{"signal", "crash", "the process was ended by a fault of its own: a bad address, an illegal instruction"},
	{"data race", "data-race", "the race detector spoke"},
}

// Logs reports the lines of the nodes' logs that are a broken promise by themselves: panics, fatal errors, data corruption.
// They come as operations of the evidence process (history.FLog). Lines that a fault causes by its nature must not be
// among them. An operation whose LogLine has no Pattern says that this node's log was searched; without any,
// nobody looked, and the verdict is Unknown.
func Logs() Checker { return logs{} }

type logs struct{}

func (logs) Name() string { return "logs" }

func (logs) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	var (
		f        findings
		searched = map[string]bool{}
	)
	for op, err := range src.Ops() {
		if err != nil {
			return Result{}, fmt.Errorf("read the history: %w", err)
		}
		if op.Process != history.Evidence || op.F != history.FLog {
			continue
		}
		if ctx.Err() != nil {
			f.unknown("%s", errStopped)
			break
		}
		var l history.LogLine
		if err := json.Unmarshal(op.Value, &l); err != nil {
			return Result{}, fmt.Errorf("%w: operation %d: a log line: %w", ErrMalformed, op.Index, err)
		}
		searched[op.Node] = true
		if l.Pattern == "" {
			continue
		}
		f.add(Anomaly{
			Name: alarmName(l.Pattern), Ops: []int64{op.Index},
			Why: fmt.Sprintf("the log of %s on %s says: %s", l.Component, op.Node, clip(l.Line)),
		})
	}
	if len(searched) == 0 {
		f.unknown("no node's log was searched: no evidence operation %q says so", history.FLog)
	}
	return f.result(fmt.Sprintf("%s searched, %s", count(len(searched), "log", "logs"), count(f.broken, "alarming line", "alarming lines")), nil)
}

func alarmName(pattern string) string {
	for _, a := range alarms {
		if a.pattern == pattern {
			return a.anomaly
		}
	}
	return pattern
}

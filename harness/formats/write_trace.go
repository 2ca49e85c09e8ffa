package formats

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// The groups of tracks of a trace ("processes" in its own words).
const (
	clientTracks = iota + 1
	faultTracks
	nemesisTracks
	evidenceTracks
)

// traceEvent is one event of the Trace Event Format, in microseconds.
type traceEvent struct {
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Phase    string         `json:"ph"`
	Time     float64        `json:"ts"`
	Duration *float64       `json:"dur,omitempty"`
	Group    int            `json:"pid"`
	Track    int64          `json:"tid"`
	Scope    string         `json:"s,omitempty"`
	Args     map[string]any `json:"args,omitempty"`
}

// writeTrace writes a history in Chrome's Trace Event Format, as one JSON object. Each client process is a track, with an event from each
// invocation to its completion, or to the history's end where there is none; faults are tracks of their own, from the beginning of their start to the end
// of what ended them; what the nodes' logs said is marked.
func writeTrace(w io.Writer, src history.Source) error {
	t := &traceWriter{out: bufio.NewWriterSize(w, 256<<10), named: map[[2]int64]bool{}, lanes: map[string]*lane{}}
	t.begin()
	end, err := t.marks(src)
	if err != nil {
		return err
	}
	windows, err := history.Windows(src)
	if err != nil {
		return fmt.Errorf("faults of the run: %w", err)
	}
	for i := range windows {
		t.fault(&windows[i], end)
	}
	for p, err := range history.Pairs(src) {
		if err != nil {
			return err
		}
		t.pair(&p, end)
	}
	t.text("\n]}\n")
	if t.err == nil {
		t.err = t.out.Flush()
	}
	if t.err != nil {
		return fmt.Errorf("write the trace: %w", t.err)
	}
	return nil
}

// traceWriter writes events and remembers the first error.
type traceWriter struct {
	out   *bufio.Writer
	err   error
	some  bool
	named map[[2]int64]bool
	// lanes are the tracks of faults by name: those of one family that overlap need tracks of their own.
	lanes map[string]*lane
}

func (t *traceWriter) text(s string) {
	if t.err == nil {
		_, t.err = t.out.WriteString(s)
	}
}

func (t *traceWriter) begin() {
	t.text(`{"displayTimeUnit":"ms","traceEvents":[` + "\n")
	for i, name := range []string{"clients", "faults", "nemesis", "evidence"} {
		t.event(traceEvent{Name: "process_name", Phase: "M", Group: i + 1, Args: map[string]any{"name": name}})
		t.event(traceEvent{Name: "process_sort_index", Phase: "M", Group: i + 1, Args: map[string]any{"sort_index": (i + 3) % 4}})
	}
}

func (t *traceWriter) event(e traceEvent) {
	b, err := json.Marshal(e)
	if err != nil && t.err == nil {
		t.err = err
	}
	if t.some {
		t.text(",\n")
	}
	t.some = true
	t.text(string(b))
}

// track gives a track its name, once.
func (t *traceWriter) track(group int, id int64, name string) {
	if at := [2]int64{int64(group), id}; !t.named[at] {
		t.named[at] = true
		t.event(traceEvent{Name: "thread_name", Phase: "M", Group: group, Track: id, Args: map[string]any{"name": name}})
		t.event(traceEvent{Name: "thread_sort_index", Phase: "M", Group: group, Track: id, Args: map[string]any{"sort_index": id}})
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// span is an event with an extent.
func (t *traceWriter) span(e traceEvent, from, to time.Duration) {
	long := micros(max(0, to-from))
	e.Phase, e.Time, e.Duration = "X", micros(from), &long
	t.event(e)
}

// marks writes what the nodes' logs and watchdogs said, and finds the history's end.
func (t *traceWriter) marks(src history.Source) (end time.Duration, err error) {
	for op, err := range src.Ops() {
		if err != nil {
			return 0, err
		}
		end = max(end, op.Time)
		if op.Process != history.Evidence || op.F != history.FLog && op.F != history.FWatchdog {
			continue
		}
		t.track(evidenceTracks, 1, "logs and watchdogs")
		t.event(traceEvent{
			Name: op.F + " " + op.Node, Phase: "i", Time: micros(op.Time), Group: evidenceTracks, Track: 1, Scope: "g",
			Args: map[string]any{"index": op.Index, "value": op.Value},
		})
	}
	return end, nil
}

// fault writes a window on a track of its family that is free.
func (t *traceWriter) fault(w *history.Window, end time.Duration) {
	if w.Skipped != "" {
		return
	}
	from, to := w.StartInvoke.Time, end
	if w.StopComplete.Known {
		to = w.StopComplete.Time
	}
	name := w.Family
	if w.Variant != "" {
		name += " " + w.Variant
	}
	args := map[string]any{"id": w.ID, "index": w.StartInvoke.Index, "nodes": w.Nodes, "proved": w.Proved}
	if len(w.Proof) > 0 {
		args["proof"] = w.Proof
	}
	if len(w.Unsure) > 0 {
		args["unsure"] = w.Unsure
	}
	t.span(traceEvent{Name: name, Category: "fault", Group: faultTracks, Track: t.lane(w.Family, from, to), Args: args}, from, to)
}

// lane is a track of faults, and when the last one on it ends.
type lane struct {
	id   int64
	ends time.Duration
}

// lane finds a track of a family on which nothing overlaps a fault.
func (t *traceWriter) lane(family string, from, to time.Duration) int64 {
	for n := 1; ; n++ {
		name := family
		if n > 1 {
			name = fmt.Sprintf("%s (%d)", family, n)
		}
		l := t.lanes[name]
		if l == nil {
			l = &lane{id: int64(len(t.lanes) + 1)}
			t.lanes[name] = l
			t.track(faultTracks, l.id, name)
		}
		if l.ends <= from {
			l.ends = to
			return l.id
		}
	}
}

// pair writes an operation of a client or of the nemesis.
func (t *traceWriter) pair(p *history.Pair, end time.Duration) {
	group, track, name := clientTracks, int64(p.Invoke.Process), "process "+p.Invoke.Process.String()
	if p.Invoke.Process == history.Nemesis {
		group, track, name = nemesisTracks, 1, "nemesis"
	}
	t.track(group, track, name)
	to := end
	args := map[string]any{"index": p.Invoke.Index, "outcome": p.Outcome().String()}
	add := func(name string, v any, there bool) {
		if there {
			args[name] = v
		}
	}
	add("invoked", p.Invoke.Value, p.Invoke.Value != nil)
	add("node", p.Invoke.Node, p.Invoke.Node != "")
	if p.HasComplete {
		to = p.Complete.Time
		add("completion", p.Complete.Index, true)
		add("completed", p.Complete.Value, p.Complete.Value != nil)
		add("version", p.Complete.Version, p.Complete.Version != 0)
		add("revision", p.Complete.Revision, p.Complete.Revision != 0)
		add("error", p.Complete.Error, p.Complete.Error != "")
	} else {
		args["outcome"] = "open"
	}
	title := p.Invoke.F
	if p.Invoke.Key != "" {
		title += " " + p.Invoke.Key
	}
	t.span(traceEvent{Name: title, Category: p.Invoke.F + "," + fmt.Sprint(args["outcome"]), Group: group, Track: track, Args: args}, p.Invoke.Time, to)
}

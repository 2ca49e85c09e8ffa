package sim

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/faultline/faultline/harness/history"
	"github.com/faultline/faultline/harness/sim/replicated"
)

// How clients ask up to where everything was delivered: so often, and so long they wait for the last answer.
const (
	progressEvery = 200 * time.Millisecond
	progressWait  = 300 * time.Millisecond
)

var errCompacted = errors.New("required revision has been compacted")

// session is what the process of an operation has seen.
func (o *operation) session() *history.KeysSeen {
	s := o.s.sessions[o.op.Process]
	if s == nil {
		s = history.NewKeysSeen(&o.s.compacted)
		o.s.sessions[o.op.Process] = s
	}
	return s
}

// saw completes an operation on a range of keys.
func (o *operation) saw(value any, version, revision int64) {
	o.ok(encode(value), version, revision)
	o.session().Completed(o.op)
}

// change writes keys at once.
func (o *operation) change(writes []history.KeyWrite) {
	cmd := replicated.Command{Kind: replicated.WriteAll, Key: o.op.Key}
	for _, w := range writes {
		p := replicated.Put{Key: o.op.Key + "/" + w.Key, Elements: []int64{w.Number}, Gone: w.Number == 0}
		if p.Gone {
			p.Elements = nil
		}
		cmd.Puts = append(cmd.Puts, p)
	}
	o.call(cmd, func(r replicated.Result) {
		for i := range writes {
			name := o.op.Key + "/" + writes[i].Key
			writes[i].Gone = !slices.ContainsFunc(r.Written, func(p replicated.Put) bool { return p.Key == name })
		}
		version := r.Revision
		if len(r.Written) == 0 {
			version = 0
		}
		o.saw(writes, version, r.Revision)
	})
}

// rangeAll reads all keys of a collection.
func (o *operation) rangeAll() {
	o.call(replicated.Command{Key: o.op.Key}, func(r replicated.Result) {
		states := []history.KeyState{}
		for _, e := range o.s.store.StatesAt(o.op.Key+"/", r.Revision) {
			states = append(states, o.state(e))
		}
		o.saw(states, 0, r.Revision)
	})
}

// state is a state as clients record it.
func (o *operation) state(e *replicated.State) history.KeyState {
	return history.KeyState{
		Key: strings.TrimPrefix(e.Key, o.op.Key+"/"), Number: e.Number, Mod: e.Version, Created: e.Created, Version: e.Changes,
	}
}

// compact forgets what is older. That is no write: it may be done though nobody hears of it.
func (o *operation) compact(c history.Compaction) {
	seen := o.session()
	c.Revision = seen.CompactTo(c.Behind)
	o.op.Value = encode(c)
	if c.Revision == 0 {
		o.ok(o.op.Value, 0, 0)
		return
	}
	o.call(replicated.Command{Key: o.op.Key}, func(replicated.Result) {
		if !o.s.store.Compact(c.Revision) {
			o.fail(errCompacted)
			return
		}
		seen.CompactedTo(c.Revision)
		o.ok(o.op.Value, 0, 0)
	})
}

// following is a watch of keys on its way.
type following struct {
	*operation
	out history.KeyStream
	w   *replicated.Watch
	// last is its time, and after it the one more answer that it waits for.
	last bool
}

// follow performs a watch of keys.
func (o *operation) follow(k history.KeyWatch) {
	f := &following{operation: o, out: history.KeyStream{KeyWatch: k, Ended: history.KeyEndTime}}
	f.out.Start, f.out.From = o.session().Begin(o.op.Key, k.From)
	ask := replicated.WatchAsk{Start: f.out.Start, Previous: k.Previous, Fragment: k.Fragment, Wants: func(e *replicated.State) bool {
		name, inside := strings.CutPrefix(e.Key, o.op.Key+"/")
		return inside && k.Covers(name) && (e.Number == 0 || !k.NoPuts) && (e.Number != 0 || !k.NoDeletes)
	}}
	f.w = o.s.store.Watch(o.n, ask, f.take)
	if k.Progress {
		f.progress()
	}
	o.s.store.Clock.After(time.Duration(k.ForMS)*time.Millisecond, func() {
		if !o.over {
			f.last = true
			f.w.AskProgress()
			o.s.store.Clock.After(progressWait, f.finish)
		}
	})
}

// progress asks for it again and again.
func (f *following) progress() {
	f.s.store.Clock.After(progressEvery, func() {
		if !f.over && !f.last {
			f.w.AskProgress()
			f.progress()
		}
	})
}

// take is a message that arrives.
func (f *following) take(a replicated.WatchAnswer) {
	switch {
	case f.over:
	case a.Err != nil && f.out.CreatedAt == 0:
		f.w.Close()
		f.fail(a.Err)
	case a.Err != nil:
		f.stop("error: " + a.Err.Error())
	case a.Closed:
		f.stop(history.KeyEndClosed)
	case a.Compacted > 0:
		f.out.Compacted = a.Compacted
		f.stop(history.KeyEndCompacted)
	case a.Created:
		f.out.CreatedAt = a.Revision
	default:
		r := history.KeyResponse{Revision: a.Revision, Progress: a.Progress, Fragment: a.Fragment}
		for i := range a.States {
			e := history.KeyEvent{KeyState: f.state(&a.States[i])}
			if was := a.States[i].Was; was != nil {
				before := f.state(was)
				before.Key, e.Previous = "", &before
			}
			r.Events = append(r.Events, e)
		}
		f.out.Responses = append(f.out.Responses, r)
		if f.last && a.Progress {
			f.finish()
		}
	}
}

func (f *following) stop(why string) {
	f.out.Ended = why
	f.finish()
}

// finish completes the operation. A watch that was never confirmed has shown nothing.
func (f *following) finish() {
	if f.over {
		return
	}
	f.w.Close()
	if f.out.CreatedAt == 0 {
		f.fail(errTimeout)
		return
	}
	f.session().Streamed(f.op.Key, &f.out)
	f.saw(&f.out, 0, f.out.Newest())
}

// parseKeys tells how an operation on ranges of keys begins; begin is nil if it is none.
func (o *operation) parseKeys() (begin func(), err error) {
	switch o.op.F {
	case "change":
		var writes []history.KeyWrite
		err = json.Unmarshal(o.op.Value, &writes)
		begin = func() { o.change(writes) }
	case "range":
		begin = o.rangeAll
	case "compact":
		var c history.Compaction
		err = json.Unmarshal(o.op.Value, &c)
		begin = func() { o.compact(c) }
	case "watch":
		var k history.KeyWatch
		err = json.Unmarshal(o.op.Value, &k)
		begin = func() { o.follow(k) }
	}
	return begin, err
}

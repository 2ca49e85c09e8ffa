package history

import "sync/atomic"

// This file has the values of operations on ranges of keys in a store whose every change has a revision of its own, and whose watches
// promise all that etcd's do (https://etcd.io/docs/latest/learning/api_guarantees). An operation's Key is a collection; the keys in the
// values are names within it. A collection named "w3" has its keys under "w3/" in the store.
//
//	change   []KeyWrite → []KeyWrite       Version is the revision that it made, 0 if it changed nothing
//	range    null → []KeyState             the whole collection as it is now, at Revision
//	compact  Compaction → Compaction       of the whole store; an operation of unknown outcome tells its revision, too
//	watch    KeyWatch → KeyStream          Revision is the last one that it learned of

// KeyWrite is one write of a change: a put of a number, or a deletion. All of a change's writes are of different keys and happen at once.
type KeyWrite struct {
	Key string `json:"key"`
	// Number is what is put; every put of a run has another one. 0: the key is deleted.
	Number int64 `json:"number,omitempty"`
	// Gone, in an ok completion: there was nothing to delete.
	Gone bool `json:"gone,omitempty"`
	// Bytes is how long the value is made, by blanks behind the number; 0: no longer than it is.
	Bytes int `json:"bytes,omitempty"`
}

// KeyState is a key as it was seen. A deletion in a stream has a Mod and no Number.
type KeyState struct {
	Key    string `json:"key,omitempty"`
	Number int64  `json:"number,omitempty"`
	// Mod and Created are the revisions at which it was changed and created last, Version counts its changes since, from 1.
	Mod     int64 `json:"mod"`
	Created int64 `json:"created,omitempty"`
	Version int64 `json:"version,omitempty"`
}

// Compaction forgets what was before a revision.
type Compaction struct {
	// Behind, in an invocation, is how far behind the newest revision that was seen it is.
	Behind int64 `json:"behind,omitempty"`
	// Revision, in a completion, is the one that was asked for; 0: none was.
	Revision int64 `json:"revision,omitempty"`
}

// Where a watch of keys begins, in KeyWatch.From, beside WatchNow, WatchResume and WatchPast. What the begin is depends on the run; the
// completion has it.
const (
	WatchCompacted = "compacted" // at the newest revision that the store was compacted to, as far as is known: the first that it must still have
	WatchForgotten = "forgotten" // before it: what is missing must be told
	WatchFuture    = "future"    // at a revision that is yet to come
)

// KeyWatch is the invocation's value of a watch of keys. Key and End are a range of names, End not in it: both empty are the whole
// collection, no End is the one key.
type KeyWatch struct {
	From string `json:"from"`
	Key  string `json:"key,omitempty"`
	End  string `json:"end,omitempty"`
	// NoPuts and NoDeletes filter the events out.
	NoPuts    bool `json:"no_puts,omitempty"`
	NoDeletes bool `json:"no_deletes,omitempty"`
	// Previous: each event comes with what the key was before.
	Previous bool `json:"previous,omitempty"`
	// Fragment: large responses may be split within a revision.
	Fragment bool `json:"fragment,omitempty"`
	// Progress: the server is asked again and again up to where everything was delivered. At the end it is asked in any case.
	Progress bool `json:"progress,omitempty"`
	// Slow: nothing is read for the first half of the time.
	Slow bool `json:"slow,omitempty"`
	// ForMS is how long to watch, in milliseconds.
	ForMS int64 `json:"for_ms"`
}

// Covers tells whether a key is in the watched range.
func (w *KeyWatch) Covers(key string) bool {
	switch {
	case w.Key == "":
		return true
	case w.End == "":
		return key == w.Key
	}
	return w.Key <= key && key < w.End
}

// KeyStream is the completion's value of a watch of keys.
type KeyStream struct {
	KeyWatch
	// Start is the revision that was asked for, the first one that is delivered; 0: what comes after now.
	Start int64 `json:"start,omitempty"`
	// CreatedAt is the revision of the answer that confirmed the watch; 0: none came.
	CreatedAt int64 `json:"created_at,omitempty"`
	// Responses are in the order of their arrival.
	Responses []KeyResponse `json:"responses,omitempty"`
	// Ended is why it ended: "time" (the client's own), "closed" (the server, without a reason), "compacted" (the revisions before Compacted
	// are no more), "canceled" (without a reason), "canceled: …", "error: …" (the connection's).
	Ended     string `json:"ended"`
	Compacted int64  `json:"compacted,omitempty"`
}

// Why a KeyStream ended.
const (
	KeyEndTime      = "time"
	KeyEndClosed    = "closed"
	KeyEndCompacted = "compacted"
	KeyEndCanceled  = "canceled"
)

// KeyResponse is one message of a stream: events, all those of each revision that it has, or progress: everything up to Revision was delivered.
type KeyResponse struct {
	Revision int64 `json:"revision"`
	Progress bool  `json:"progress,omitempty"`
	// Fragment: the next response goes on with this one.
	Fragment bool       `json:"fragment,omitempty"`
	Events   []KeyEvent `json:"events,omitempty"`
}

// KeyEvent is the state that a key came into at revision Mod.
type KeyEvent struct {
	KeyState
	// Previous is the state before, its Key left out.
	Previous *KeyState `json:"previous,omitempty"`
}

// Newest is the highest revision that a stream told of.
func (s *KeyStream) Newest() int64 {
	newest := s.CreatedAt
	for i := range s.Responses {
		newest = max(newest, s.Responses[i].Revision)
	}
	return newest
}

// NextStart is where to resume a stream so that nothing is missed; 0 where it is not known.
func (s *KeyStream) NextStart() int64 {
	next := s.Start
	for i := range s.Responses {
		r := &s.Responses[i]
		if r.Progress {
			next = max(next, r.Revision+1)
		} else if n := len(r.Events); n > 0 {
			next = max(next, r.Events[n-1].Mod)
			if !r.Fragment {
				next = max(next, r.Events[n-1].Mod+1)
			}
		}
	}
	if next == 0 && s.CreatedAt > 0 {
		return s.CreatedAt + 1
	}
	return next
}

// KeysSeen is what one process has seen of ranges of keys, by which it is decided where its watches begin; see Seen.
type KeysSeen struct {
	*Seen
	// Next is where to resume each collection's last stream.
	Next map[string]int64
	// Compacted is the highest revision to which the store was compacted, as far as any process of the run knows. They share it.
	Compacted *atomic.Int64
}

// NewKeysSeen is of a process that has seen nothing.
func NewKeysSeen(compacted *atomic.Int64) *KeysSeen {
	return &KeysSeen{NewSeen(), map[string]int64{}, compacted}
}

// How far from what was seen the watches begin that are to begin before or after it.
const (
	forgottenBy = 3
	futureBy    = 5
)

// Begin is where a watch begins, and what it then is: there may be nothing yet of what was asked for.
func (s *KeysSeen) Begin(key, from string) (start int64, is string) {
	compacted, past := s.Compacted.Load(), s.Past[key]
	switch {
	case from == WatchCompacted && compacted > 0:
		return compacted, from
	case from == WatchForgotten && compacted > 1:
		return max(1, compacted-forgottenBy), from
	case from == WatchFuture:
		return s.Newest + futureBy, from
	case from != WatchNow && from != WatchResume && len(past) > 0:
		return past[0], WatchPast
	case from != WatchNow && s.Next[key] > 0:
		return s.Next[key], WatchResume
	case from != WatchNow && s.Last[key] > 0:
		return s.Last[key] + 1, WatchResume
	}
	return 0, WatchNow
}

// Streamed takes in how a stream ended.
func (s *KeysSeen) Streamed(key string, stream *KeyStream) {
	if stream.Ended == KeyEndCompacted {
		s.Forget(key)
		s.Next[key] = stream.Compacted
		return
	}
	s.Next[key] = stream.NextStart()
}

// CompactTo is the revision that is so far behind what was seen; 0: there is none that was not compacted.
func (s *KeysSeen) CompactTo(behind int64) int64 {
	if to := s.Newest - behind; to > s.Compacted.Load() {
		return to
	}
	return 0
}

// CompactedTo takes in a compaction.
func (s *KeysSeen) CompactedTo(revision int64) {
	for {
		have := s.Compacted.Load()
		if revision <= have || s.Compacted.CompareAndSwap(have, revision) {
			return
		}
	}
}

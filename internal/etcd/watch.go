package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// How a watch asks up to where everything was delivered: so often, and so long it waits for the last answer.
const (
	watchProgressEvery = 200 * time.Millisecond
	watchProgressWait  = 500 * time.Millisecond
)

// NewWatchClient makes clients of ranges of keys that are changed, compacted and watched:
//
//	change    []history.KeyWrite: a put or deletion where it is one, else a transaction of them
//	range     → []history.KeyState, linearizable
//	compact   history.Compaction
//	watch     history.KeyWatch → history.KeyStream
//
// A watch is one stream of the member's, with one watcher. It lasts until its time is over, when its progress is asked for, or until it ends by
// itself; it is ok then with what arrived. It is never resumed, and a fail only if the member did not confirm it.
func NewWatchClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	open, err := newClients(map[string]perform{"change": performChange, "range": performRange})(sys, o)
	if err != nil {
		return nil, err
	}
	compacted := &atomic.Int64{}
	return func(ctx context.Context, p history.Process, node string) (harness.Client, error) {
		c, err := open(ctx, p, node)
		if err != nil {
			return nil, err
		}
		return &watchClient{c.(*client), history.NewKeysSeen(compacted)}, nil
	}, nil
}

// watchClient is a client that knows what its process has seen.
type watchClient struct {
	*client
	seen *history.KeysSeen
}

// Invoke performs an operation: a watch within its own time, all else within the client's time-out.
func (c *watchClient) Invoke(ctx context.Context, op history.Op) history.Op {
	switch op.F {
	case "compact":
		return c.compact(ctx, op)
	case "watch":
		op = c.watch(ctx, op)
	default:
		op = c.client.Invoke(ctx, op)
	}
	if op.Type == history.OK {
		c.seen.Completed(op)
	}
	return op
}

// watch performs a watch.
func (c *watchClient) watch(ctx context.Context, op history.Op) history.Op {
	var asked history.KeyWatch
	err := json.Unmarshal(op.Value, &asked)
	if err == nil && asked.ForMS <= 0 {
		err = errors.New("for_ms must be above 0")
	}
	if err != nil {
		return failed(op, badValue(op, err))
	}
	f := &follower{key: op.Key, out: history.KeyStream{KeyWatch: asked}}
	f.out.Start, f.out.From = c.seen.Begin(op.Key, asked.From)
	if err := f.follow(ctx, c); err != nil {
		return failed(op, readError(err))
	}
	c.seen.Streamed(op.Key, &f.out)
	op.Type, op.Value, op.Revision = history.OK, jsonOf(&f.out), f.out.Newest()
	return op
}

// failed is an operation that ended with an error, its invocation's value kept.
func failed(op history.Op, err error) history.Op {
	op.Type, op.Error = harness.Outcome(err), errorText(err)
	return op
}

// follower records one stream.
type follower struct {
	key    string
	out    history.KeyStream
	stream pb.Watch_WatchClient
	// last: its time is over, and it waits for the last progress.
	last bool
}

// received is a message, or the end of the stream.
type received struct {
	resp *pb.WatchResponse
	err  error
}

// follow records the stream. An error means that the member did not confirm it.
func (f *follower) follow(ctx context.Context, c *watchClient) error {
	lasts := time.Duration(f.out.ForMS) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, lasts+watchProgressWait)
	defer cancel()
	if err := c.awaitReady(ctx); err != nil {
		return &neverSentError{err}
	}
	var err error
	if f.stream, err = pb.NewWatchClient(c.grpc).Watch(ctx); err != nil {
		return err
	}
	if err := f.stream.Send(createRequest(f.key, &f.out)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	over := time.NewTimer(lasts)
	defer over.Stop()
	if f.out.Slow {
		pause(ctx, lasts/2)
	}
	messages := make(chan received)
	go func() {
		for {
			resp, err := f.stream.Recv()
			select {
			case messages <- received{resp, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	err = f.read(ctx, messages, over.C)
	if f.out.CreatedAt == 0 || f.out.Ended == history.KeyEndTime && !f.answered() {
		// Nobody answers any more: if that is a partition, this connection may take long to notice its end.
		err = errors.Join(err, c.reopen())
	}
	return err
}

// read takes messages until the stream ends or its time is over.
func (f *follower) read(ctx context.Context, messages <-chan received, over <-chan time.Time) error {
	tick := time.NewTicker(watchProgressEvery)
	defer tick.Stop()
	for f.out.Ended == "" {
		select {
		case m := <-messages:
			if m.err == nil {
				f.take(m.resp)
				continue
			}
			if err := f.broke(ctx, m.err); err != nil {
				return err
			}
		case <-tick.C:
			if f.out.Progress && !f.last && f.out.CreatedAt > 0 {
				f.askProgress()
			}
		case <-over:
			f.last = true
			f.askProgress()
		case <-ctx.Done():
			f.out.Ended = history.KeyEndTime
		}
	}
	if f.out.CreatedAt == 0 && f.out.Ended == history.KeyEndTime {
		return fmt.Errorf("the watch was not confirmed: %w", errUnanswered)
	}
	return nil
}

// broke is the stream's end by an error.
func (f *follower) broke(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		f.out.Ended = history.KeyEndTime
	case errors.Is(err, io.EOF):
		f.out.Ended = history.KeyEndClosed
	case f.out.CreatedAt == 0:
		return err
	default:
		f.out.Ended = "error: " + errorText(err)
	}
	return nil
}

// askProgress asks for a notification. That it can't be sent, Recv says why.
func (f *follower) askProgress() {
	_ = f.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
}

// answered tells whether the last thing that came was a notification.
func (f *follower) answered() bool {
	n := len(f.out.Responses)
	return n > 0 && f.out.Responses[n-1].Progress
}

// take records a message.
func (f *follower) take(resp *pb.WatchResponse) {
	revision := resp.GetHeader().GetRevision()
	if resp.GetCreated() && !resp.GetCanceled() {
		f.out.CreatedAt = revision
	}
	if events := resp.GetEvents(); len(events) > 0 {
		r := history.KeyResponse{Revision: revision, Fragment: resp.GetFragment()}
		for _, e := range events {
			r.Events = append(r.Events, eventOf(f.key, e))
		}
		f.out.Responses = append(f.out.Responses, r)
	}
	switch {
	case resp.GetCompactRevision() > 0:
		f.out.Ended, f.out.Compacted = history.KeyEndCompacted, resp.GetCompactRevision()
	case resp.GetCanceled() && resp.GetCancelReason() != "":
		f.out.Ended = history.KeyEndCanceled + ": " + resp.GetCancelReason()
	case resp.GetCanceled():
		f.out.Ended = history.KeyEndCanceled
	case len(resp.GetEvents()) == 0 && !resp.GetCreated():
		f.out.Responses = append(f.out.Responses, history.KeyResponse{Revision: revision, Progress: true})
		if f.last {
			f.out.Ended = history.KeyEndTime
		}
	}
}

// pause waits, or until the context is done.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

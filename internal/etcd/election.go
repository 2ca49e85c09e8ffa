package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// NewElectionClient makes clients of etcd's election API (v3election), each key an election of its own:
//
//	campaign  history.LockRequest → history.Tenure
//	observe   history.ObserveRequest → history.Observed
//
// A candidate goes about it as an owner of NewLockClient does, proclaims something halfway through its term, resigns, and tries to proclaim something once
// more, which is to be refused. Odd processes resign by a transaction that tells whether they led, the others by the API.
func NewElectionClient(sys harness.System, o harness.ClientOptions) (harness.OpenClient, error) {
	return newClients(map[string]perform{"campaign": campaign, "observe": observeLeaders})(sys, o)
}

func campaign(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	w, err := newOwner(ctx, c, op)
	if err != nil {
		return op, err
	}
	defer w.leave(ctx)
	var me leaderKey
	err = w.acquire(ctx, func(ctx context.Context) (_ string, err error) {
		me, err = w.stand(ctx)
		return me.key, err
	})
	if err != nil {
		return w.waited(op, err)
	}
	if err := w.halfTime(ctx); err != nil {
		return op, err
	}
	w.proclaim(ctx, me, false)
	if err := w.halfTime(ctx); err != nil {
		return op, err
	}
	w.release(ctx, op.Process%2 == 1, methodResign, message{}.bytes(1, me.message()))
	if w.t.End == history.TenureReleased {
		w.proclaim(ctx, me, true)
	}
	op.Value = jsonOf(w.t)
	return op, nil
}

// stand campaigns.
func (w *owner) stand(ctx context.Context) (leaderKey, error) {
	resp, err := w.c.speak(ctx, methodCampaign, message{}.bytes(1, []byte(ownersOf(w.key))).number(2, w.lease).bytes(3, []byte(w.words())))
	if err != nil {
		return leaderKey{}, err
	}
	_, texts, err := resp.fields()
	if err != nil {
		return leaderKey{}, err
	}
	numbers, names, err := texts[2].fields()
	return leaderKey{name: string(names[1]), key: string(names[2]), rev: numbers[3], lease: numbers[4]}, err
}

// words are what a leader says next: nobody else says that, and nobody twice.
func (w *owner) words() string {
	w.said++
	return fmt.Sprintf("%s-%d", w.t.Owner, w.said)
}

// proclaim has a leader say something, or one who has resigned. What is not answered is not recorded.
func (w *owner) proclaim(ctx context.Context, me leaderKey, after bool) {
	if !after && w.isGone() {
		return
	}
	p := history.Proclaim{Value: w.words(), After: after}
	resp, err := within(ctx, w.c, func(ctx context.Context) (message, error) {
		return w.c.speak(ctx, methodProclaim, message{}.bytes(1, me.message()).bytes(2, []byte(p.Value)))
	})
	switch {
	case isNotLeader(err):
		if !after {
			w.gone()
		}
	case err != nil:
		return
	default:
		_, texts, err := resp.fields()
		if err != nil {
			return
		}
		header, _, err := texts[1].fields()
		if err != nil {
			return
		}
		p.Revision = header[headerRevision]
		if !after {
			w.t.Seen = append(w.t.Seen, p.Revision)
		}
	}
	w.t.Proclaims = append(w.t.Proclaims, p)
}

// headerRevision is the field of a response header that has the revision.
const headerRevision = 3

// isNotLeader tells the answer to who does not lead: the transaction's guard, that the key is the leader's, was refused (client/v3/concurrency/election.go,
// Proclaim).
func isNotLeader(err error) bool {
	var answer interface{ GRPCStatus() *status.Status }
	return errors.As(err, &answer) && answer.GRPCStatus().Code() == codes.Unknown && answer.GRPCStatus().Message() == "election: not leader"
}

// errClosed is a stream that etcd ended without a reason, as it may (client/v3/concurrency/election.go, Observe), before it told of anybody.
var errClosed = fmt.Errorf("%w: the stream of leaders was closed", harness.ErrNotApplied)

// observeLeaders watches who leads, for as long as it was asked to.
func observeLeaders(ctx context.Context, c *client, op history.Op) (history.Op, error) {
	var asked history.ObserveRequest
	if err := json.Unmarshal(op.Value, &asked); err != nil {
		return op, badValue(op, err)
	}
	if err := c.awaitReady(ctx); err != nil {
		return op, &neverSentError{err}
	}
	watching, cancel := context.WithTimeout(ctx, time.Duration(asked.ForMS)*time.Millisecond)
	defer cancel()
	seen := history.Observed{Leaders: []history.Sighting{}}
	err := c.observe(watching, op.Key, &seen)
	switch {
	case errors.Is(err, io.EOF):
		seen.End = "closed"
	case watching.Err() != nil && ctx.Err() == nil:
		seen.End = "time"
	default:
		seen.End = fmt.Sprintf("error: %v", err)
	}
	switch {
	case len(seen.Leaders) > 0:
	case seen.End == "closed":
		return op, errClosed
	default:
		return op, readError(err)
	}
	op.Value = jsonOf(seen)
	return op, nil
}

// observe notes the leaders that etcd tells of, until it ends.
func (c *client) observe(ctx context.Context, key string, seen *history.Observed) error {
	stream, err := c.grpc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, methodObserve, grpc.ForceCodec(asIs{}))
	if err != nil {
		return err
	}
	req := message{}.bytes(1, []byte(ownersOf(key)))
	if err := errors.Join(stream.SendMsg(&req), stream.CloseSend()); err != nil {
		return err
	}
	for {
		var resp message
		if err := stream.RecvMsg(&resp); err != nil {
			return err
		}
		s, err := sightingOf(resp)
		if err != nil {
			return err
		}
		seen.Leaders = append(seen.Leaders, s)
	}
}

// sightingOf reads a LeaderResponse: a header, and a mvccpb.KeyValue.
func sightingOf(resp message) (history.Sighting, error) {
	_, texts, err := resp.fields()
	if err != nil {
		return history.Sighting{}, err
	}
	header, _, err := texts[1].fields()
	if err != nil {
		return history.Sighting{}, err
	}
	numbers, values, err := texts[2].fields()
	if err != nil {
		return history.Sighting{}, err
	}
	return history.Sighting{Created: numbers[2], Modified: numbers[3], Revision: header[headerRevision], Value: string(values[5])}, nil
}

package etcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// askTimeout bounds one question to one member.
const askTimeout = 1500 * time.Millisecond

// answer is what a member said of itself, or why it could not be asked.
type answer struct {
	m    *member
	resp *pb.StatusResponse
	err  error
}

// ask connects to a member from its own node, through the control connection, so that faults of the network
// under test are not in the way.
func (s *System) ask(ctx context.Context, m *member, f func(ctx context.Context, conn *grpc.ClientConn) error) error {
	return s.askFor(ctx, askTimeout, m, f)
}

// askFor is ask with a bound of its own.
func (s *System) askFor(ctx context.Context, bound time.Duration, m *member, f func(ctx context.Context, conn *grpc.ClientConn) error) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+m.adminAddr(),
		grpc.WithTransportCredentials(credentialsOf(s.tls)),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return m.node.Dial(ctx, addr) }),
		grpc.WithNoProxy(), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(responseBytesMax)),
	)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, conn), conn.Close())
}

// statuses asks every member at once.
func (s *System) statuses(ctx context.Context) []answer {
	out := make([]answer, len(s.members))
	var wg sync.WaitGroup
	for i, m := range s.members {
		wg.Go(func() {
			out[i].m = m
			out[i].err = s.ask(ctx, m, func(ctx context.Context, conn *grpc.ClientConn) (err error) {
				out[i].resp, err = pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
				return err
			})
		})
	}
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range out {
		if st.err == nil {
			s.names[st.resp.Header.MemberId] = st.m.node.Name()
		}
	}
	return out
}

// nodeOf is the node of a member's ID, if that member was ever heard of.
func (s *System) nodeOf(id uint64) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	node, ok := s.names[id]
	return node, ok
}

// Leader is the node that leads according to the members of the highest term: a leader that was cut off still
// believes in itself, but in an older one.
func (s *System) Leader(ctx context.Context) (string, error) {
	var term, leader uint64
	var silent []error
	for _, st := range s.statuses(ctx) {
		if st.err != nil {
			silent = append(silent, fmt.Errorf("%s: %w", st.m.node.Name(), st.err))
			continue
		}
		if st.resp.RaftTerm > term || st.resp.RaftTerm == term && leader == 0 {
			term, leader = st.resp.RaftTerm, st.resp.Leader
		}
	}
	if leader == 0 {
		return "", fmt.Errorf("etcd has no leader: %w", errors.Join(append(silent, fmt.Errorf("highest term heard of is %d", term))...))
	}
	node, ok := s.nodeOf(leader)
	if !ok {
		return "", fmt.Errorf("etcd's leader %x is on no known node: %w", leader, errors.Join(silent...))
	}
	return node, nil
}

// AwaitHealthy returns when every member answers without alarms, they agree on a leader and term, and each one serves a
// linearizable read. A member whose process has exited ends the wait at once, with the end of its log.
func (s *System) AwaitHealthy(ctx context.Context) error {
	for {
		unwell := s.unwell(ctx)
		if unwell == nil {
			return nil
		}
		if m := s.exited(ctx); m != nil {
			return s.explain(ctx, m, fmt.Errorf("etcd on %s is not running", m.node.Name()))
		}
		if err := harness.Pause(ctx, 100*time.Millisecond); err != nil {
			m := s.members[0]
			var who *unwellError
			if errors.As(unwell, &who) {
				m = who.m
			}
			return s.explain(ctx, m, fmt.Errorf("etcd is not healthy: %w: %w", err, unwell))
		}
	}
}

// unwellError is one member that is not well.
type unwellError struct {
	m   *member
	err error
}

func (e *unwellError) Error() string { return e.m.node.Name() + ": " + e.err.Error() }
func (e *unwellError) Unwrap() error { return e.err }

// unwell asks once and tells what is not well; nil if all is.
func (s *System) unwell(ctx context.Context) error {
	all := s.statuses(ctx)
	var errs []error
	for _, st := range all {
		switch {
		case st.err != nil:
			errs = append(errs, &unwellError{st.m, st.err})
		case len(st.resp.Errors) > 0:
			errs = append(errs, &unwellError{st.m, errors.New(strings.Join(st.resp.Errors, "; "))})
		case st.resp.Leader == 0:
			errs = append(errs, &unwellError{st.m, errors.New("it knows no leader")})
		case all[0].err == nil && (st.resp.Leader != all[0].resp.Leader || st.resp.RaftTerm != all[0].resp.RaftTerm):
			errs = append(errs, &unwellError{st.m, fmt.Errorf("it follows leader %x of term %d, but %s follows %x of term %d",
				st.resp.Leader, st.resp.RaftTerm, all[0].m.node.Name(), all[0].resp.Leader, all[0].resp.RaftTerm)})
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return s.each(func(m *member) error {
		err := s.ask(ctx, m, func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte("health")})
			return err
		})
		if err != nil {
			return &unwellError{m, fmt.Errorf("a linearizable read: %w", err)}
		}
		return nil
	})
}

// exited is a member whose process is known to have ended; nil if there is none.
func (s *System) exited(ctx context.Context) *member {
	for _, m := range s.members {
		st, err := processState(ctx, m.node)
		if err == nil && st.Status != "running" && st.Status != "stopped" {
			return m
		}
	}
	return nil
}

// membersWait bounds how long Members waits for revisions at which members can be compared.
const membersWait = 10 * time.Second

// Members asks every member for its state, and for the hash of its keys and values at one revision, the lowest that any
// of them has reached. Hashes can be compared only where members compacted up to the same revision and are of one
// version; it asks again, within a bound, while they did not, or while revisions differ. A member that can't be asked is in the
// answer with its Error. The caller decides what differences mean.
func (s *System) Members(ctx context.Context) ([]history.MemberState, error) {
	bound, cancel := context.WithTimeout(ctx, membersWait)
	defer cancel()
	for {
		states := s.membersOnce(ctx)
		if settled(states) {
			return states, nil
		}
		if err := harness.Pause(bound, 200*time.Millisecond); err != nil {
			return states, ctx.Err() // what was seen last, unless it is the caller who has enough
		}
	}
}

// settled tells whether all members answered and stand at the same revisions.
func settled(states []history.MemberState) bool {
	for _, st := range states {
		if st.Error != "" || st.Revision != states[0].Revision || st.CompactRevision != states[0].CompactRevision {
			return false
		}
	}
	return true
}

func (s *System) membersOnce(ctx context.Context) []history.MemberState {
	all := s.statuses(ctx)
	states := make([]history.MemberState, len(all))
	var at int64
	for i, st := range all {
		states[i].Node = st.m.node.Name()
		if st.err != nil {
			states[i].Error = st.err.Error()
			continue
		}
		states[i].Revision = st.resp.Header.Revision
		states[i].Version = st.resp.Version
		states[i].Term = st.resp.RaftTerm
		states[i].Leader, _ = s.nodeOf(st.resp.Leader)
		if at == 0 || st.resp.Header.Revision < at {
			at = st.resp.Header.Revision
		}
	}
	var wg sync.WaitGroup
	for i, st := range all {
		if st.err != nil {
			continue
		}
		wg.Go(func() {
			err := s.ask(ctx, st.m, func(ctx context.Context, conn *grpc.ClientConn) error {
				h, err := pb.NewMaintenanceClient(conn).HashKV(ctx, &pb.HashKVRequest{Revision: at})
				if err == nil {
					states[i].Hash, states[i].HashRevision, states[i].CompactRevision = uint64(h.Hash), at, h.CompactRevision
				}
				return err
			})
			if err != nil {
				states[i].Error = fmt.Sprintf("hash at revision %d: %v", at, err)
			}
		})
	}
	wg.Wait()
	return states
}

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/history"
)

// plane is a System like a control plane: servers with caches, and components that lead, move, write and watch. It can be told to
// misbehave.
type plane struct {
	electing
	// revision is the newest; it grows with each question, unless idle.
	revision atomic.Int64
	idle     bool
	// mute servers do not answer; deaf ones never get anything new.
	mute, deaf map[string]bool
	// stuck caches are what servers had when they were cut off.
	stuck map[string]int64
	// fresh: caches follow although they are cut off.
	fresh bool
	// servers are what moved components use.
	servers map[string]string
	// immovable components are not started again.
	immovable bool
	// write is what AwaitWrite does; nil: it answers at once.
	write func(ctx context.Context, n int) (string, error)
	// churned counts objects; unchurnable is how many rounds go well before they fail, -1: all do.
	churned     atomic.Int64
	unchurnable atomic.Int64
	// during is called in each churn.
	during func()
}

func newPlane(n int) *plane {
	p := &plane{
		electing: electing{leading{staff(n, "etcd", "api", "boss", "agent")}, "n2"},
		mute:     map[string]bool{}, deaf: map[string]bool{}, stuck: map[string]int64{}, servers: map[string]string{},
	}
	p.unchurnable.Store(-1)
	p.extra = []harness.Link{{Name: "api-etcd", Ports: []int{2379}, Local: "127.0.1.3"}}
	for _, node := range p.nodes {
		p.spawn(node, "runtime")
	}
	return p
}

func (p *plane) Companions() []string { return []string{"runtime"} }
func (p *plane) CacheLink() string    { return "api-etcd" }
func (p *plane) Movable() []string    { return []string{"boss", "agent"} }
func (p *plane) Writers() []string    { return []string{"boss", "agent"} }

func (p *plane) CacheLag(_ context.Context, name string) (harness.Lag, error) {
	newest := p.revision.Load()
	if !p.idle {
		newest = p.revision.Add(1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute[name] {
		return harness.Lag{}, errors.New("connection refused")
	}
	n := p.node(name)
	if p.deaf[name] {
		return harness.Lag{Cached: 1, Newest: newest, Age: time.Minute}, nil
	}
	if len(n.cuts) == 0 || p.fresh {
		delete(p.stuck, name)
		return harness.Lag{Cached: newest, Newest: newest}, nil
	}
	if p.stuck[name] == 0 {
		p.stuck[name] = newest - 1
	}
	return harness.Lag{Cached: p.stuck[name], Newest: newest, Age: 2 * time.Second}, nil
}

func (p *plane) Move(_ context.Context, name, component, server string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead[name] {
		return errUnreachable
	}
	key := name + " " + component
	if was, ok := p.servers[key]; ok && was == server || !ok && name == server || p.immovable {
		return nil
	}
	p.servers[key] = server
	p.spawn(p.node(name), component)
	return nil
}

func (p *plane) AwaitWrite(ctx context.Context, component string, n int) (string, error) {
	if p.write != nil {
		return p.write(ctx, n)
	}
	return fmt.Sprintf("write %d of %s", n, component), nil
}

func (p *plane) Churn(_ context.Context, n int) (string, error) {
	if p.unchurnable.Load() == 0 {
		return "", errors.New("no server answers")
	}
	p.unchurnable.Add(-1)
	p.churned.Add(int64(n))
	if p.during != nil {
		p.during()
	}
	return fmt.Sprintf("%d objects", n), nil
}

// planeBreaker is the nemesis of a plane, with bounds that suit a test.
func planeBreaker(p *plane) *breaker {
	env := p.env()
	env.System = p
	b := newBreaker(env, env.Scope(), Options{})
	b.probe, b.count, b.wait = 20*time.Millisecond, 100*time.Millisecond, 400*time.Millisecond
	return b
}

// planeOp is startOp with a number drawn.
func planeOp(id, entry string, n int, order ...string) history.Op {
	op := startOp(id, entry)
	family, words, _ := strings.Cut(entry, ":")
	op.Value = encode(history.Fault{ID: id, Family: family, Variant: words, Requested: entry, Detail: encode(Draw{Order: order, N: n})})
	return op
}

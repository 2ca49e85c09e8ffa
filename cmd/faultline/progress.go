package main

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/faultline/faultline/harness/history"
)

// progress shows a run while it goes: on a terminal one live line, otherwise a plain line from time to time.
type progress struct {
	con   *console
	limit time.Duration
	watch stopwatch

	ok, fail, info atomic.Int64
	firstOp        atomic.Int64 // nanoseconds after watch began, 0 until there was one

	mu     sync.Mutex
	faults map[string]string // in force: ID to what it is
	phase  string
	rate   rateMeter
}

// plainEvery is how often a run without a terminal says how it goes.
const plainEvery = 10 * time.Second

// drawEvery is how often the live line is drawn again.
const drawEvery = 200 * time.Millisecond

func newProgress(con *console, limit time.Duration) *progress {
	return &progress{con: con, limit: limit, watch: startWatch(), faults: map[string]string{}, phase: "running"}
}

// observe is the runner's Observe.
func (p *progress) observe(op history.Op) {
	if op.Process.IsClient() {
		p.count(op)
		return
	}
	if op.Process == history.Nemesis && op.Type != history.Invoke {
		p.nemesis(op)
	}
}

func (p *progress) count(op history.Op) {
	switch op.Type {
	case history.Invoke:
		if p.firstOp.Load() == 0 {
			p.firstOp.CompareAndSwap(0, int64(p.watch.elapsed()))
		}
	case history.OK:
		p.ok.Add(1)
	case history.Fail:
		p.fail.Add(1)
	case history.Info:
		p.info.Add(1)
	}
}

func (p *progress) nemesis(op history.Op) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fault, err := decodeFault(op)
	if family, start, ok := history.FamilyOf(op.F); ok && err == nil {
		what := describeFault(family, fault)
		switch {
		case start && op.Type == history.Fail:
			p.con.detail("%6.1fs  %s %s", op.Time.Seconds(), what, op.Error)
		case start:
			p.faults[fault.ID] = what
			p.con.detail("%6.1fs  %s begins", op.Time.Seconds(), what)
		default:
			delete(p.faults, fault.ID)
			p.con.detail("%6.1fs  %s ends", op.Time.Seconds(), what)
		}
		return
	}
	switch op.F {
	case history.FHeal:
		clear(p.faults)
		p.phase = "waiting for health"
	case history.FAwaitHealthy:
		p.phase = "final reads"
	}
	p.con.detail("%6.1fs  %s %s", op.Time.Seconds(), op.F, op.Type)
}

// line is the state of the run in one line.
func (p *progress) line() string {
	elapsed := p.watch.elapsed()
	ok, fail, info := p.ok.Load(), p.fail.Load(), p.info.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	names := make([]string, 0, len(p.faults))
	for _, what := range p.faults {
		names = append(names, what)
	}
	sort.Strings(names)
	faults := "no fault"
	if len(names) > 0 {
		faults = strings.Join(names, ", ")
	}
	left := p.phase
	if p.phase == "running" {
		left = fmt.Sprintf("%2.0f s left", max(0, p.limit-elapsed).Seconds())
	}
	return fmt.Sprintf("%s  %6.0f op/s  %d ok  %d fail  %d info  %s",
		left, p.rate.perSecond(elapsed, ok+fail+info), ok, fail, info, faults)
}

// show draws until stop is called.
func (p *progress) show() (stop func()) {
	if p.con.quiet {
		return func() {}
	}
	if p.con.live {
		return p.draw()
	}
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(plainEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.con.say("%s", p.line())
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-gone }
}

func (p *progress) draw() (stop func()) {
	bars := mpb.New(mpb.WithOutput(p.con.err), mpb.WithRefreshRate(drawEvery))
	bar := bars.New(int64(p.limit), mpb.NopStyle(), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return p.line() })))
	p.con.redirect(bars)
	return func() {
		bar.Abort(true)
		p.con.redirect(nil)
		bars.Wait()
	}
}

// rateMeter is the rate over the last second or so. Not safe for concurrent use.
type rateMeter struct {
	at, before time.Duration
	n, nBefore int64
}

func (r *rateMeter) perSecond(now time.Duration, n int64) float64 {
	if now-r.at >= time.Second {
		r.before, r.nBefore = r.at, r.n
		r.at, r.n = now, n
	}
	if now <= r.before {
		return 0
	}
	return float64(n-r.nBefore) / (now - r.before).Seconds()
}

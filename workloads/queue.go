package workloads

import (
	"slices"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// queues are enqueues of unique elements, and dequeues, one to one. At the end every queue is emptied.
//
//	enqueue  17
//	dequeue  null → 17, or null where the queue was empty
func queues(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	keys := stream(o, "q")
	used := newLedger(keys.Prefix, ownKey)
	draw := func(ctx *generator.Context, w generator.Worker, n uint64) history.Op {
		op := history.Op{F: "dequeue", Key: keys.Key(n, ctx.Rand)}
		if ctx.Rand.IntN(2) == 0 {
			op.F, op.Value = "enqueue", jsonOf(number(o, w, n))
		}
		return op
	}
	return Parts{
		Main: &noted{used, mainPhase(o, "queue", draw)},
		// What a queue has lost shows once it is empty, so all of them are emptied, however far back.
		Final:    emptied(o.Concurrency, func() []string { return used.recent(finalKeysMax) }),
		Checkers: []checker.Checker{checker.TotalQueue(), checker.Queue()},
	}, nil
}

// emptied has every worker dequeue until it has found each of its share of the queues empty, a queue being the share of about half of them. It gives up where
// too much fails, and asks for the queues when it begins.
func emptied(concurrency int, queues func() []string) generator.Generator {
	return generator.EachWorker(func(w generator.Worker) generator.Generator {
		var own []string
		for i, q := range queues() {
			if concurrency == 1 || i%2 == int(w)%2 {
				own = append(own, q)
			}
		}
		return generator.Delay(finalPause, &untilEmpty{queues: own})
	})
}

// untilEmpty dequeues from one queue after the other, until each was found empty.
type untilEmpty struct {
	queues   []string
	failures int
	open     []history.Process
}

func (u *untilEmpty) Next(ctx *generator.Context) (history.Op, generator.Status, generator.Generator) {
	if len(u.queues) == 0 || u.failures > finalSlack {
		return history.Op{}, generator.Done, nil
	}
	p, ok := ctx.Anyone()
	if !ok {
		return history.Op{}, generator.Pending, u
	}
	op := history.Op{Type: history.Invoke, Process: p, Time: ctx.Now, F: "dequeue", Key: u.queues[0]}
	next := *u
	next.open = append(slices.Clone(u.open), p)
	return op, generator.Ready, &next
}

func (u *untilEmpty) Update(_ *generator.Context, event history.Op) generator.Generator {
	if event.Type == history.Invoke || !slices.Contains(u.open, event.Process) {
		return u
	}
	next := *u
	next.open = slices.DeleteFunc(slices.Clone(u.open), func(p history.Process) bool { return p == event.Process })
	switch {
	case event.Type != history.OK:
		next.failures++
	case len(event.Value) == 0 || string(event.Value) == "null":
		if len(u.queues) > 0 && u.queues[0] == event.Key {
			next.queues = u.queues[1:]
		}
	}
	return &next
}

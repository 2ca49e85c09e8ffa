package generator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

const ms = time.Millisecond

// f is a generator of one function, without end.
func f(name string) Generator { return Repeat(history.Op{F: name}) }

// outcomes completes operations after 10 ms: those called bad fail, lost ones end unknown, slow ones take 100 ms.
func outcomes(op history.Op) (history.Op, time.Duration) {
	op.Type = history.OK
	switch op.F {
	case "bad":
		op.Type = history.Fail
	case "lost":
		op.Type = history.Info
	case "slow":
		return op, 100 * ms
	}
	return op, 10 * ms
}

// transcript writes invocations as "time process function", and completions that are not ok as "process type".
func transcript(ops []history.Op) string {
	var out []string
	for _, op := range ops {
		switch op.Type {
		case history.Invoke:
			out = append(out, strings.TrimSpace(fmt.Sprintf("%d %s %s %s", op.Time/ms, op.Process, op.F, op.Key)))
		case history.OK:
		case history.Fail, history.Info:
			out = append(out, fmt.Sprintf("%s %s", op.Process, op.Type))
		}
	}
	return strings.Join(out, " / ")
}

var transcripts = []struct {
	name    string
	workers int
	max     int
	g       func() Generator
	want    string
}{
	{
		"func takes turns", 3, 5, func() Generator { return f("a") },
		"0 0 a / 0 1 a / 0 2 a / 10 0 a / 10 1 a",
	},
	{"once", 2, 9, func() Generator { return Once(history.Op{F: "a"}) }, "0 0 a"},
	{"limit", 2, 9, func() Generator { return Limit(3, f("a")) }, "0 0 a / 0 1 a / 10 0 a"},
	{"limit 0", 2, 9, func() Generator { return Limit(0, f("a")) }, ""},
	{"map", 1, 1, func() Generator {
		return Map(func(op history.Op) history.Op { op.F += "!"; return op }, f("a"))
	}, "0 0 a!"},
	{
		"seq does not wait", 2, 4, func() Generator { return Seq(Once(history.Op{F: "slow"}), Limit(2, f("b"))) },
		"0 0 slow / 0 1 b / 10 1 b",
	},
	{"seq of nothing", 2, 4, func() Generator { return Seq() }, ""},
	{
		"phases wait for all", 2, 4, func() Generator { return Phases(Once(history.Op{F: "slow"}), Limit(2, f("b"))) },
		"0 0 slow / 100 1 b / 100 0 b",
	},
	{
		"synchronize", 2, 3, func() Generator { return Any(Once(history.Op{F: "slow"}), Synchronize(Once(history.Op{F: "b"}))) },
		"0 0 slow / 100 1 b",
	},
	{"any takes the soonest", 3, 4, func() Generator {
		return Any(Seq(Sleep(30*ms), Once(history.Op{F: "late"})), Delay(20*ms, Limit(3, f("a"))))
	}, "0 0 a / 20 1 a / 30 2 late / 40 0 a"},
	{"any takes turns among equals", 4, 4, func() Generator { return Any(f("a"), f("b")) }, "0 0 a / 0 1 b / 0 2 a / 0 3 b"},
	{
		"any is done when all are", 2, 9, func() Generator { return Any(Limit(1, f("a")), Limit(2, f("b"))) },
		"0 0 a / 0 1 b / 10 0 b",
	},
	{"flip-flop", 1, 3, func() Generator { return FlipFlop(f("a"), f("b")) }, "0 0 a / 10 0 b / 20 0 a"},
	{
		"flip-flop ends with either", 1, 9, func() Generator { return FlipFlop(f("a"), Limit(1, f("b"))) },
		"0 0 a / 10 0 b / 20 0 a",
	},
	{
		"cycle", 1, 4, func() Generator { return Cycle(Seq(Limit(2, f("a")), Limit(1, f("b")))) },
		"0 0 a / 10 0 a / 20 0 b / 30 0 a",
	},
	{"cycle of nothing", 1, 4, func() Generator { return Cycle(Limit(0, f("a"))) }, ""},
	{
		"cycle with pauses", 1, 3, func() Generator { return Cycle(Seq(Sleep(25*ms), Once(history.Op{F: "a"}))) },
		"25 0 a / 50 0 a / 75 0 a",
	},
	{"delay catches nothing up", 1, 4, func() Generator {
		return Delay(40*ms, Seq(Once(history.Op{F: "slow"}), f("a")))
	}, "0 0 slow / 100 0 a / 140 0 a / 180 0 a"},
	{"time limit ends at its time", 1, 9, func() Generator {
		return Seq(TimeLimit(25*ms, Delay(20*ms, f("a"))), Once(history.Op{F: "b"}))
	}, "0 0 a / 20 0 a / 30 0 b"},
	{"time limit does not end early", 1, 9, func() Generator {
		return Seq(TimeLimit(25*ms, Seq(Sleep(time.Hour), f("a"))), Once(history.Op{F: "b"}))
	}, "25 0 b"},
	{"time limit ends with its generator", 1, 9, func() Generator {
		return Seq(TimeLimit(time.Hour, Once(history.Op{F: "a"})), Once(history.Op{F: "b"}))
	}, "0 0 a / 10 0 b"},
	{"until ok", 1, 9, func() Generator {
		return UntilOK(Seq(Limit(2, f("bad")), Limit(1, f("lost")), f("a")))
	}, "0 0 bad / 0 fail / 10 0 bad / 0 fail / 20 0 lost / 0 info / 30 1 a"},
	{
		"until ok ignores others' success", 2, 4, func() Generator { return Any(UntilOK(Limit(2, f("bad"))), Limit(2, f("a"))) },
		"0 0 bad / 0 1 a / 0 fail / 10 0 bad / 10 1 a / 0 fail",
	},
	{
		"a lost operation ends its process", 2, 4, func() Generator { return f("lost") },
		"0 0 lost / 0 1 lost / 0 info / 10 2 lost / 1 info / 10 3 lost / 2 info",
	},
	{"clients and nemesis", 1, 4, func() Generator {
		return Any(Clients(f("a")), NemesisOnly(Delay(15*ms, f("break"))))
	}, "0 0 a / 0 nemesis break / 10 0 a / 15 nemesis break"},
	{
		"a lost fault does not end the nemesis", 1, 2, func() Generator { return NemesisOnly(f("lost")) },
		"0 nemesis lost / nemesis info / 10 nemesis lost / nemesis info",
	},
	{"no one takes the nemesis by chance", 1, 2, func() Generator { return Any(f("a"), f("b")) }, "0 0 a / 10 0 b"},
	{"on workers", 4, 4, func() Generator { return OnWorkers(f("a"), 1, 3) }, "0 1 a / 0 3 a / 10 1 a / 10 3 a"},
	{"on workers within workers", 4, 2, func() Generator { return OnWorkers(OnWorkers(f("a"), 0, 3), 1, 3) }, "0 3 a / 10 3 a"},
	{"reserve", 4, 4, func() Generator {
		return Reserve(f("rest"), Reserved{1, f("a")}, Reserved{2, f("b")})
	}, "0 0 a / 0 1 b / 0 3 rest / 0 2 b"},
	{"each worker", 2, 9, func() Generator {
		return Clients(EachWorker(func(w Worker) Generator { return Limit(2, f(fmt.Sprint("w", int(w)))) }))
	}, "0 0 w0 / 0 1 w1 / 10 0 w0 / 10 1 w1"},
	{"each worker sees its own events", 2, 9, func() Generator {
		return Clients(EachWorker(func(w Worker) Generator {
			if w == 0 {
				return UntilOK(Limit(2, f("bad")))
			}
			return UntilOK(f("a"))
		}))
	}, "0 0 bad / 0 1 a / 0 fail / 10 0 bad / 0 fail"},
	{"each worker waits by itself", 2, 9, func() Generator {
		return Clients(EachWorker(func(w Worker) Generator {
			return Seq(Sleep(time.Duration(w+1)*7*ms), Delay(20*ms, Limit(2, f("a"))))
		}))
	}, "7 0 a / 14 1 a / 27 0 a / 34 1 a"},
	{"each process", 2, 9, func() Generator {
		return Clients(EachProcess(Limit(1, Seq(Limit(1, f("a"))))))
	}, "0 0 a / 0 1 a"},
	{"each process begins anew after an unknown outcome", 1, 3, func() Generator {
		return Clients(EachProcess(Seq(Limit(1, f("a")), Limit(1, f("lost")))))
	}, "0 0 a / 10 0 lost / 0 info / 20 1 a"},
	{"each worker while one is busy", 2, 4, func() Generator {
		return Seq(Once(history.Op{F: "slow"}), Clients(EachWorker(func(Worker) Generator { return Delay(60*ms, f("a")) })))
	}, "0 0 slow / 0 1 a / 60 1 a / 100 0 a"},
	{"mix skips what is done", 1, 4, func() Generator {
		return Mix(Weighted{1000, Limit(2, f("a"))}, Weighted{1, Limit(2, f("b"))}, Weighted{0, f("never")})
	}, "0 0 a / 10 0 a / 20 0 b / 30 0 b"},
	{"sleep", 1, 1, func() Generator { return Seq(Sleep(5*ms), Sleep(6*ms), f("a")) }, "11 0 a"},
}

func TestTranscripts(t *testing.T) {
	for _, c := range transcripts {
		t.Run(c.name, func(t *testing.T) {
			ops, err := Play(c.g(), c.workers, c.max, outcomes)
			if err != nil {
				t.Fatal(err)
			}
			if got := transcript(ops); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// doubting asks everything twice, throws the first answer away, and notes when the two differ.
type doubting struct {
	g     Generator
	wrong *[]string
}

func (d *doubting) Next(ctx *Context) (history.Op, Status, Generator) {
	first, s1, thrown := d.g.Next(ctx)
	if s1 == Ready {
		// What becomes of an answer that is thrown away must not matter.
		_, _, _ = thrown.Next(ctx)
		thrown.Update(ctx, first)
	}
	op, s2, next := d.g.Next(ctx)
	if s1 != s2 || first.F != op.F || first.Key != op.Key || first.Process != op.Process || first.Time != op.Time ||
		string(first.Value) != string(op.Value) {
		*d.wrong = append(*d.wrong, fmt.Sprintf("%v %+v, then %v %+v", s1, first, s2, op))
	}
	if s2 == Done {
		return op, s2, nil
	}
	return op, s2, &doubting{next, d.wrong}
}

func (d *doubting) Update(ctx *Context, event history.Op) Generator {
	d.g.Update(ctx, event)
	return &doubting{d.g.Update(ctx, event), d.wrong}
}

// TestPure asks each generator of the table twice for everything: the answers, and so the transcripts, are the same.
func TestPure(t *testing.T) {
	for _, c := range transcripts {
		var wrong []string
		ops, err := Play(&doubting{c.g(), &wrong}, c.workers, c.max, outcomes)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := transcript(ops); got != c.want {
			t.Errorf("%s, asked twice:\n got %s\nwant %s", c.name, got, c.want)
		}
		if len(wrong) > 0 {
			t.Errorf("%s: asked twice it answered %s", c.name, wrong[0])
		}
	}
}

// counting answers differently each time: what TestPure is there to find.
type counting struct{ n int }

func (c *counting) Next(ctx *Context) (history.Op, Status, Generator) {
	p, ok := ctx.Anyone()
	if !ok {
		return history.Op{}, Pending, c
	}
	c.n++
	return history.Op{Type: history.Invoke, F: fmt.Sprint(c.n), Process: p}, Ready, c
}

func (c *counting) Update(*Context, history.Op) Generator { return c }

func TestPureFindsWhatIsNot(t *testing.T) {
	var wrong []string
	if _, err := Play(&doubting{&counting{}, &wrong}, 1, 3, outcomes); err != nil {
		t.Fatal(err)
	}
	if len(wrong) == 0 {
		t.Error("a generator that counts questions went unnoticed")
	}
}

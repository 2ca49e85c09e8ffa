package transactions

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

// recording writes a history of a store that runs each transaction at one moment between its invocation and its completion, ten at a time, of one to four
// micro-operations on ten keys in use, each next one twice as likely as the one before, and a fresh one after 32 writes; 3 % fail, 2 % end unknown.
type recording struct {
	w     *bufio.Writer
	r     *rand.Rand
	kind  Kind
	index int
	keys  [10]int
	next  int
	count map[int]int
	lists map[int][]byte // the JSON of what is stored
}

type pendingTxn struct {
	process int
	ops     []worldOp
	done    []byte // the completion's value, once it took effect
	outcome string
}

func (g *recording) key() int {
	for i := len(g.keys) - 1; i > 0; i-- {
		if g.r.IntN(2) == 0 {
			return i
		}
	}
	return 0
}

func (g *recording) draw() []worldOp {
	ops := make([]worldOp, 0, 4)
	for range 1 + g.r.IntN(4) {
		slot := g.key()
		o := worldOp{write: g.r.IntN(2) == 0}
		if o.write {
			if g.count[g.keys[slot]] == 32 {
				delete(g.count, g.keys[slot])
				g.keys[slot], g.next = g.next, g.next+1
			}
			g.count[g.keys[slot]]++
			o.value = g.count[g.keys[slot]]
		}
		o.key = g.keys[slot]
		ops = append(ops, o)
	}
	return ops
}

// run applies a transaction, where it takes effect, and is its value.
func (g *recording) run(ops []worldOp, effect, reads bool) []byte {
	b := []byte{'['}
	for i, o := range ops {
		if i > 0 {
			b = append(b, ',')
		}
		f := `["r",`
		if o.write {
			f = map[Kind]string{ListAppend: `["append",`, RWRegister: `["w",`}[g.kind]
		}
		b = append(strconv.AppendInt(append(b, f...), int64(o.key), 10), ',')
		stored := g.lists[o.key]
		switch {
		case o.write:
			b = strconv.AppendInt(b, int64(o.value), 10)
			if effect && g.kind == RWRegister {
				g.lists[o.key] = strconv.AppendInt(nil, int64(o.value), 10)
			} else if effect {
				if len(stored) > 0 {
					stored = append(stored, ',')
				}
				g.lists[o.key] = strconv.AppendInt(stored, int64(o.value), 10)
			}
		case !reads || len(stored) == 0:
			b = append(b, "null"...)
		case g.kind == ListAppend:
			b = append(append(append(b, '['), stored...), ']')
		default:
			b = append(b, stored...)
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

func (g *recording) line(p *pendingTxn, outcome string, value []byte) {
	fmt.Fprintf(g.w, `{"index":%d,"time":%d,"type":%q,"process":%d,"f":"txn","value":%s}`+"\n", g.index, g.index*1000, outcome, p.process, value)
	g.index++
}

func (g *recording) record(transactions int) {
	const clients = 10
	for i := range g.keys {
		g.keys[i] = i
	}
	g.next, g.count, g.lists = len(g.keys), map[int]int{}, map[int][]byte{}
	var busy [clients]*pendingTxn
	var process [clients]int
	for i := range process {
		process[i] = i
	}
	for begun, open := 0, 0; begun < transactions || open > 0; {
		slot := g.r.IntN(clients)
		p := busy[slot]
		switch {
		case p == nil && begun < transactions:
			p = &pendingTxn{process: process[slot], ops: g.draw()}
			g.line(p, "invoke", g.run(p.ops, false, false))
			busy[slot] = p
			begun++
			open++
		case p == nil:
		case p.outcome == "":
			switch u := g.r.IntN(100); {
			case u < 3:
				p.outcome, p.done = "fail", g.run(p.ops, false, false)
			case u < 5:
				p.outcome, p.done = "info", g.run(p.ops, g.r.IntN(2) == 0, false)
			default:
				p.outcome, p.done = "ok", g.run(p.ops, true, true)
			}
		default:
			g.line(p, p.outcome, p.done)
			if p.outcome == "info" {
				process[slot] += clients
			}
			busy[slot] = nil
			open--
		}
	}
}

// recorded is a file with such a history. FAULTLINE_BENCH_DIR keeps it for the next time.
func recorded(b testing.TB, kind Kind, transactions int) string {
	dir := os.Getenv("FAULTLINE_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	path := filepath.Join(dir, fmt.Sprintf("txn-%d-%d.jsonl", kind, transactions))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	g := recording{w: bufio.NewWriterSize(f, 1<<20), r: rand.New(rand.NewPCG(7, uint64(transactions))), kind: kind}
	g.record(transactions)
	if err := g.w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkFile is from file to verdict.
func BenchmarkFile(b *testing.B) {
	for _, kind := range []Kind{ListAppend, RWRegister} {
		for _, n := range []int{100_000, 1_000_000, 2_000_000, 10_000_000} {
			b.Run(fmt.Sprintf("%s/%d", [...]string{ListAppend: "list-append", RWRegister: "rw-register"}[kind], n), func(b *testing.B) {
				if n > 2_000_000 && os.Getenv("FAULTLINE_BENCH_DIR") == "" {
					b.Skip("3 GB of history: name a folder for it with FAULTLINE_BENCH_DIR")
				}
				path := recorded(b, kind, n)
				for b.Loop() {
					src, err := history.Open(path)
					if err != nil {
						b.Fatal(err)
					}
					r, err := Check(context.Background(), src, Options{Kind: kind, MemoryBytes: 16 << 30})
					if err != nil || r.Broken || len(r.Unknown) > 0 {
						b.Fatalf("%v %v %v", err, r.Unknown, r.Anomalies)
					}
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "txns/s")
			})
		}
	}
}

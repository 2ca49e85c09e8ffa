package checker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/faultline/faultline/checker/transactions"
	"github.com/faultline/faultline/harness/history"
)

// LongFork judges transactions (f "txn", of [["w", key, value]] and [["r", key, value], …]) on registers each of which is written by one
// transaction only, for the anomaly that tells parallel snapshot isolation from snapshot isolation (Sovran et al.: Transactional storage for
// geo-replicated systems, SOSP 2011): two transactions read two keys, and each sees the write that the other does not see. So the
// two writes were done in one order to the one and in the other order to the other.
//
//   - long-fork: that. Prefix consistency, snapshot isolation, repeatable read and what implies one of them rule it out (the cycle it is, wr rw wr rw, is
//     a G-nonadjacent-item); parallel snapshot isolation and update serializability allow it.
//   - stale-read: a transaction does not see a key written that another saw which was over before it began. Only models that keep to real
//     time rule it out.
//
// A key that two transactions wrote, or that was read with a value nobody wrote, is not judged: the verdict is Unknown. The error is
// transactions.ErrUnknownModel.
func LongFork(o TransactionOptions) (Checker, error) {
	model, err := transactions.Lookup(o.Model)
	if err != nil {
		return nil, err
	}
	var c longFork
	for weaker, rules := range map[string]*bool{"prefix": &c.forks, "repeatable-read": &c.forks, "strong-snapshot-isolation": &c.realtime} {
		implied, err := transactions.Implies(model.Name, weaker)
		if err != nil {
			return nil, err
		}
		*rules = *rules || implied
	}
	return c, nil
}

// longFork has what the model rules out: forks, and reads that real time contradicts.
type longFork struct{ forks, realtime bool }

// LongForkDetail is the Detail of LongFork.
type LongForkDetail struct {
	Reads  int64 `json:"reads"`
	Writes int64 `json:"writes"`
	Keys   int   `json:"keys"`
	// Pairs are the pairs of keys of which one read saw only the one written; Forks those of them of which another saw only the other.
	Pairs int `json:"pairs"`
	Forks int `json:"forks"`
}

// onceWritten is a key.
type onceWritten struct {
	value  string
	writer int64 // -1: none
	seen   int64 // the completion of the first read of it that was over; 0: none
	// doubt is why it is not judged.
	doubt string
}

// sighting is a transaction that read keys: those that it saw written, and those that it did not.
type sighting struct {
	written, blank []string
	call, index    int64
	who            string
}

// order is a pair of keys: a read saw the first one written, and not the second.
type forkOrder struct{ first, second string }

// longForkJudge gathers what was written and read.
type longForkJudge struct {
	longFork
	f     findings
	d     LongForkDetail
	keys  map[string]*onceWritten
	reads []sighting
	pairs map[forkOrder]*sighting
}

func (longFork) Name() string { return "long-fork" }

func (c longFork) Check(ctx context.Context, src history.Source, _ Budget) (Result, error) {
	j := longForkJudge{longFork: c, keys: map[string]*onceWritten{}, pairs: map[forkOrder]*sighting{}}
	err := j.f.clients(ctx, src, func(p history.Pair) error {
		if p.Invoke.F != fTxn {
			return nil
		}
		if err := j.take(p); err != nil {
			return fmt.Errorf("operation %d: %w", indexOf(p), err)
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	for i := range j.reads {
		j.judge(&j.reads[i])
	}
	j.d.Keys, j.d.Pairs = len(j.keys), len(j.pairs)
	for _, key := range sortedKeys(j.keys) {
		if k := j.keys[key]; k.doubt != "" {
			j.f.unknown("%s is not judged: %s", key, k.doubt)
			break
		}
	}
	switch {
	case j.d.Reads == 0:
		j.f.unknown("nothing to check: no transaction read")
	case j.d.Pairs == 0:
		j.f.unknown("nothing to check: no read saw one key written and another not yet")
	}
	return j.f.result(fmt.Sprintf("%s, %s of %s, %s seen half", count(j.d.Reads, "read", "reads"), count(j.d.Writes, "write", "writes"),
		count(j.d.Keys, "key", "keys"), count(j.d.Pairs, "pair", "pairs")), j.d)
}

// onceMicro is a micro-operation of a transaction on such keys.
type onceMicro struct {
	write      bool
	key, value string
}

var errNoMicro = errors.New(`want micro-operations ["w", key, value] and ["r", key, value]`)

func onceMicros(v json.RawMessage) ([]onceMicro, error) {
	list, err := elements(v)
	if err != nil {
		return nil, err
	}
	out := make([]onceMicro, len(list))
	for i, m := range list {
		parts, err := elements(m)
		if err != nil || len(parts) < 3 || len(parts) > 4 {
			return nil, fmt.Errorf("%w: %w: %.60q", ErrMalformed, errNoMicro, m)
		}
		f := string(bytes.Trim(parts[0], `"`))
		if f != "w" && f != "r" {
			return nil, fmt.Errorf("%w: %w: %.60q", ErrMalformed, errNoMicro, m)
		}
		out[i] = onceMicro{f == "w", strings.Trim(string(parts[1]), `"`), string(parts[2])}
		if out[i].write && isNull(parts[2]) {
			return nil, fmt.Errorf("%w: null was written, which no read can tell from nothing: %.60q", ErrMalformed, m)
		}
	}
	return out, nil
}

func (j *longForkJudge) key(name string) *onceWritten {
	k := j.keys[name]
	if k == nil {
		k = &onceWritten{writer: -1}
		j.keys[name] = k
	}
	return k
}

// take takes a transaction in. What a failed one wrote it did not write.
func (j *longForkJudge) take(p history.Pair) error {
	value := p.Invoke.Value
	if p.Outcome() == history.OK {
		value = p.Complete.Value
	}
	micros, err := onceMicros(value)
	if err != nil || p.Outcome() == history.Fail {
		return err
	}
	var s sighting
	own := map[string]bool{}
	for _, m := range micros {
		k := j.key(m.key)
		switch {
		case m.write:
			own[m.key] = true
			j.d.Writes++
			if k.writer >= 0 {
				k.doubt = fmt.Sprintf("%d and %d both wrote it", k.writer, indexOf(p))
			}
			k.writer, k.value = indexOf(p), m.value
		case p.Outcome() != history.OK || own[m.key]:
		case m.value == "null":
			s.blank = append(s.blank, m.key)
		default:
			s.written = append(s.written, m.key)
		}
	}
	if len(s.written)+len(s.blank) > 0 {
		j.d.Reads++
		s.call, s.index = p.Invoke.Index, p.Complete.Index
		s.who = fmt.Sprintf("%d by process %s%s", s.index, p.Invoke.Process, on(p.Invoke.Node))
		j.reads = append(j.reads, s)
	}
	return nil
}

// judge compares a read with the ones before. Reads come in the order of their completions.
func (j *longForkJudge) judge(s *sighting) {
	for _, w := range s.written {
		k := j.keys[w]
		if k.writer < 0 && k.doubt == "" {
			k.doubt = fmt.Sprintf("%d read a value of it, and nobody wrote it", s.index)
		}
		for _, b := range s.blank {
			j.fork(s, forkOrder{w, b})
		}
	}
	for _, b := range s.blank {
		if k := j.keys[b]; k.seen > 0 && k.seen < s.call && k.doubt == "" {
			j.f.add(Anomaly{
				Name: "stale-read", Key: b, Ops: []int64{s.index, k.seen}, Allowed: !j.realtime,
				Why: fmt.Sprintf("%s does not see %s written, but %d, which was over before, did", s.who, b, k.seen),
			})
		}
	}
	for _, w := range s.written {
		if k := j.keys[w]; k.seen == 0 {
			k.seen = s.index
		}
	}
}

// fork tells a pair of keys that was seen in the other order.
func (j *longForkJudge) fork(s *sighting, seen forkOrder) {
	if j.pairs[seen] != nil {
		return
	}
	if slices.Contains(s.blank, seen.first) || slices.Contains(s.written, seen.second) || j.keys[seen.first].doubt != "" || j.keys[seen.second].doubt != "" {
		return // it does not agree with itself, or can't be judged
	}
	j.pairs[seen] = s
	other := j.pairs[forkOrder{seen.second, seen.first}]
	if other == nil {
		return
	}
	j.d.Forks++
	j.f.add(Anomaly{
		Name: "long-fork", Key: seen.first, Ops: []int64{s.index, other.index, j.keys[seen.first].writer, j.keys[seen.second].writer}, Allowed: !j.forks,
		Why: fmt.Sprintf("%s sees %s written (by %d) and not %s (by %d); %s sees %s and not %s",
			s.who, seen.first, j.keys[seen.first].writer, seen.second, j.keys[seen.second].writer, other.who, seen.second, seen.first),
	})
}

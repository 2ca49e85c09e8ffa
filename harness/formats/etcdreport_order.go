package formats

import (
	"cmp"
	"slices"
	"time"

	"github.com/faultline/faultline/harness/history"
)

// moment is the beginning or the end of a part. Of those at one time, beginnings come first, so that no order is claimed that was not seen.
type moment struct {
	at   int64
	end  bool
	part *reportPart
}

// history puts the parts in the order of time.
func (r *report) history() history.Slice {
	var moments []moment
	free := int64(0)
	for i := range r.parts {
		p := &r.parts[i]
		free = max(free, p.stream+1)
		if p.f == "read" && p.value == nil && r.leased[p.key] {
			continue
		}
		end := moment{p.ret, true, p}
		if !p.known {
			end.at = r.last
		}
		moments = append(moments, moment{p.call, false, p}, end)
	}
	slices.SortStableFunc(moments, func(a, b moment) int {
		if order := cmp.Or(cmp.Compare(a.at, b.at), compareBool(a.end, b.end)); order != 0 || !a.end {
			return order
		}
		return compareBool(!a.part.known, !b.part.known)
	})
	processes := processPool{next: free, of: map[*reportPart]int64{}}
	out := make(history.Slice, 0, len(moments))
	for i, m := range moments {
		op := history.Op{Index: int64(i), Time: time.Duration(m.at), Type: history.Invoke, F: m.part.f, Key: m.part.key}
		if op.F == "write" {
			op.Value = m.part.value
		}
		op.Process = processes.take(m.part)
		if m.end {
			op.Type, op.Value, op.Version, op.Revision, op.Error = history.OK, m.part.value, m.part.version, m.part.revision, m.part.err
			if !m.part.known {
				op.Type = history.Info
			}
			processes.give(m.part)
		}
		out = append(out, op)
	}
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// processPool gives each part a process: the first of a request its client's stream, others one that is free.
type processPool struct {
	next int64
	free []int64
	of   map[*reportPart]int64
}

func (p *processPool) take(part *reportPart) history.Process {
	if part.first {
		return history.Process(part.stream)
	}
	id, open := p.of[part]
	if !open {
		if n := len(p.free); n > 0 {
			id, p.free = p.free[n-1], p.free[:n-1]
		} else {
			id = p.next
			p.next++
		}
		p.of[part] = id
	}
	return history.Process(id)
}

func (p *processPool) give(part *reportPart) {
	if id, open := p.of[part]; open && part.known {
		p.free = append(p.free, id)
	}
	delete(p.of, part)
}

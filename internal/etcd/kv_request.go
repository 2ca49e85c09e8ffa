package etcd

import (
	"encoding/json"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// requestParser makes etcd's requests of what is recorded; err is the first thing that it could not read.
type requestParser struct {
	at     int64
	writes bool
	err    error
}

func (p *requestParser) wrong(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

func (p *requestParser) text(v json.RawMessage) (s string) {
	if err := json.Unmarshal(v, &s); err != nil || s == "" {
		p.wrong("%s: want a word", v)
	}
	return s
}

func (p *requestParser) number(v json.RawMessage) (n int64) {
	if err := json.Unmarshal(v, &n); err != nil {
		p.wrong("%s: %w", v, err)
	}
	return n
}

func (p *requestParser) branch(ops [][]json.RawMessage) (out []*pb.RequestOp) {
	for _, parts := range ops {
		if len(parts) < 2 || len(parts) > 4 {
			p.wrong("an operation of %d parts", len(parts))
			return nil
		}
		key := []byte(p.text(parts[1]))
		var end []byte
		name := p.text(parts[0])
		if len(parts) == 3 && name != "put" {
			end = []byte(p.text(parts[2]))
		}
		switch {
		case name == "put" && len(parts) >= 3:
			put := &pb.PutRequest{Key: key, Value: parts[2], PrevKv: true}
			if len(parts) == 4 {
				put.Lease = p.number(parts[3])
			}
			p.writes = true
			out = append(out, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})
		case name == "delete" && len(parts) <= 3:
			p.writes = true
			out = append(out, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
				RequestDeleteRange: &pb.DeleteRangeRequest{Key: key, RangeEnd: end, PrevKv: true},
			}})
		case (name == "get" || name == "range") && len(parts) <= 3:
			out = append(out, &pb.RequestOp{Request: &pb.RequestOp_RequestRange{
				RequestRange: &pb.RangeRequest{Key: key, RangeEnd: end, Revision: p.at},
			}})
		default:
			p.wrong("%q with %d parts is no operation (want put, get, range or delete)", name, len(parts))
		}
	}
	return out
}

var compareSigns = map[string]pb.Compare_CompareResult{"=": pb.Compare_EQUAL, "!=": pb.Compare_NOT_EQUAL, "<": pb.Compare_LESS, ">": pb.Compare_GREATER}

func (p *requestParser) compares(list [][]json.RawMessage) (out []*pb.Compare) {
	for _, parts := range list {
		if len(parts) != 4 {
			p.wrong("a compare of %d parts, not [target, key, sign, with]", len(parts))
			return nil
		}
		sign, ok := compareSigns[p.text(parts[2])]
		if !ok {
			p.wrong("unknown sign %s of a compare", parts[2])
		}
		c := &pb.Compare{Key: []byte(p.text(parts[1])), Result: sign}
		switch target := p.text(parts[0]); target {
		case "value":
			c.Target, c.TargetUnion = pb.Compare_VALUE, &pb.Compare_Value{Value: parts[3]}
		case "version":
			c.Target, c.TargetUnion = pb.Compare_VERSION, &pb.Compare_Version{Version: p.number(parts[3])}
		case "create":
			c.Target, c.TargetUnion = pb.Compare_CREATE, &pb.Compare_CreateRevision{CreateRevision: p.number(parts[3])}
		case "mod":
			c.Target, c.TargetUnion = pb.Compare_MOD, &pb.Compare_ModRevision{ModRevision: p.number(parts[3])}
		case "lease":
			c.Target, c.TargetUnion = pb.Compare_LEASE, &pb.Compare_Lease{Lease: p.number(parts[3])}
		default:
			p.wrong("unknown target %q of a compare", target)
		}
		out = append(out, c)
	}
	return out
}

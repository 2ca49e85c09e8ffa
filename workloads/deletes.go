package workloads

import (
	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// deletes are reads, writes of unique values and deletions, half of them reads.
//
//	read    null → 17, or null where the key does not exist
//	write   17
//	delete  null → true, or false where the key did not exist
func deletes(o Options) (Parts, error) {
	if err := o.check(); err != nil {
		return Parts{}, err
	}
	judges, err := versionCheckers(o)
	if err != nil {
		return Parts{}, err
	}
	keys := stream(o, "d")
	used := newLedger(keys.Prefix, ownKey)
	draw := func(ctx *generator.Context, w generator.Worker, n uint64) history.Op {
		op := history.Op{Key: keys.Key(n, ctx.Rand)}
		switch ctx.Rand.IntN(4) {
		case 0:
			op.F, op.Value = "write", jsonOf(number(o, w, n))
		case 1:
			op.F = "delete"
		default:
			op.F = "read"
		}
		return op
	}
	return Parts{
		Main:     &noted{used, mainPhase(o, "deletes", draw)},
		Final:    finalReads(func() []history.Op { return reads(used.recent(finalKeysMax)) }),
		Checkers: judges,
	}, nil
}

// versionCheckers are those that judge by versions and revisions alone, whatever is written.
func versionCheckers(o Options) ([]checker.Checker, error) {
	sessions, err := checker.Sessions(checker.SessionOptions{Model: o.Model, Read: o.Read})
	if err != nil {
		return nil, err
	}
	durability, err := checker.Durability(checker.DurabilityOptions{Model: o.Model, Read: o.Read})
	if err != nil {
		return nil, err
	}
	return []checker.Checker{durability, sessions, checker.PastStates()}, nil
}

// byVersions adds them to a workload whose keys hold what is written, and nothing else. Sets of objects under a label are none: there a key stands for
// many of them.
func byVersions(make func(Options) (Parts, error)) func(Options) (Parts, error) {
	return func(o Options) (Parts, error) {
		parts, err := make(o)
		if err != nil {
			return Parts{}, err
		}
		more, err := versionCheckers(o)
		parts.Checkers = append(parts.Checkers, more...)
		return parts, err
	}
}

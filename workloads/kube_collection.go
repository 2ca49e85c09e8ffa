package workloads

import (
	"strconv"

	"github.com/faultline/faultline/harness/generator"
	"github.com/faultline/faultline/harness/history"
)

// This file is what the workloads over collections have in common: small objects under one key, which are changed by everybody, so that lists and
// watches have something to get wrong.

// collectionObjects is how many names there are in a collection: enough for several pages, few enough to be contended.
const collectionObjects = 12

// mixed draws the kind of each read; the other words are those of the kinds.
const mixed = "mixed"

// viewReads are what --read may say of workloads over collections.
func viewReads() []string {
	return []string{mixed, history.ReadQuorum, history.ReadCached, history.ReadAtLeast, history.ReadExact}
}

// drawView is the kind of one read.
func drawView(ctx *generator.Context, read string) string {
	if read != "" && read != mixed {
		return read
	}
	return weighted(ctx, []weight{{history.ReadQuorum, 4}, {history.ReadCached, 3}, {history.ReadAtLeast, 2}, {history.ReadExact, 2}})
}

// drawChange is a create, update or delete of one object; half of the latter two only of the version that the process saw last. Every
// change of a run has a number of its own.
func drawChange(ctx *generator.Context, o Options, w generator.Worker, n uint64) history.Op {
	c := history.ObjectChange{
		Object: "o" + strconv.Itoa(ctx.Rand.IntN(collectionObjects)),
		Number: int64(number(o, w, n)), //nolint:gosec // counts operations
	}
	f := weighted(ctx, []weight{{"create", 5}, {"update", 4}, {"delete", 3}})
	if f != "create" && ctx.Rand.IntN(2) == 0 {
		c.Expect = history.ExpectSeen
	}
	if f == "delete" {
		c.Number = 0
	}
	return history.Op{F: f, Value: jsonOf(c)}
}

// drawList is a list, most of them in pages.
func drawList(ctx *generator.Context, read string) history.Op {
	limits := []int{0, 2, 3, 5}
	return history.Op{F: "list", Value: jsonOf(history.ListRequest{Read: drawView(ctx, read), Limit: limits[ctx.Rand.IntN(len(limits))]})}
}

// finalLists are quorum lists of collections.
func finalLists(keys []string) []history.Op {
	ops := make([]history.Op, len(keys))
	for i, k := range keys {
		ops[i] = history.Op{F: "list", Key: k, Value: jsonOf(history.ListRequest{Read: history.ReadQuorum, Limit: 5 * (i % 2)})}
	}
	return ops
}

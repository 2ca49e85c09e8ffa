package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/faultline/faultline/checker"
	"github.com/faultline/faultline/internal/kube/observe"
	"github.com/faultline/faultline/nemesis"
	"github.com/faultline/faultline/workloads"
)

// row is a line of a list.
type row struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
	More string `json:"more,omitempty"`
}

// lists are the tables that `list` prints, made from the tables that the program itself uses.
func lists() map[string]func() []row {
	return map[string]func() []row{
		"workloads": workloadRows,
		"faults":    faultRows,
		"checkers":  checkerRows,
		"systems":   systemRows,
		"plants":    plantRows,
	}
}

func listCommand() *cli.Command {
	var kinds []*cli.Command
	for _, kind := range []string{"workloads", "faults", "checkers", "systems", "plants"} {
		kinds = append(kinds, &cli.Command{
			Name: kind, Usage: "list the " + kind,
			Action: func(c *cli.Context) error { return printRows(newConsole(c), lists()[kind]()) },
		})
	}
	return &cli.Command{Name: "list", Usage: "list workloads, faults, checkers, systems or plants", Subcommands: kinds}
}

func printRows(con *console, rows []row) error {
	if con.json {
		return json.NewEncoder(con.out).Encode(rows)
	}
	w := tabwriter.NewWriter(con.out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\n", r.Name, r.Doc)
		writeMore(w, r.More)
	}
	return w.Flush()
}

func writeMore(w io.Writer, more string) {
	for line := range strings.Lines(more) {
		fmt.Fprintf(w, "\t  %s\n", strings.TrimRight(line, "\n"))
	}
}

func workloadRows() []row {
	var out []row
	for _, w := range workloads.Workloads {
		more := ""
		if len(w.Reads) > 0 {
			more += "--read " + strings.Join(w.Reads, ", ") + "\n"
		}
		if len(w.Models) > 0 {
			more += "--model " + strings.Join(w.Models, ", ") + "\n"
		}
		out = append(out, row{w.Name, w.Doc, more})
	}
	return out
}

func faultRows() []row {
	var out []row
	for _, f := range nemesis.Faults {
		more := ""
		for _, w := range f.Words {
			more += fmt.Sprintf("%s:%s  (%s) %s\n", f.Family, w.Name, w.Kind, w.Doc)
		}
		if len(f.Voids) > 0 {
			more += "voids: " + strings.Join(f.Voids, "; ") + " (not part of all)\n"
		}
		out = append(out, row{f.Family, f.Doc, more})
	}
	return out
}

// namedChecker is a row of the table of checkers that can be asked for by name.
type namedChecker struct {
	name, doc string
	make      func(model, read string) (checker.Checker, error)
}

func checkerTable() []namedChecker {
	plain := func(c checker.Checker) func(string, string) (checker.Checker, error) {
		return func(string, string) (checker.Checker, error) { return c, nil }
	}
	return []namedChecker{
		{"linearizable", "registers with compare-and-set are linearizable, per key", func(model, read string) (checker.Checker, error) {
			return checker.Linearizable(checker.LinearizableOptions{Model: model, Read: read})
		}},
		{"set", "no element of a set is lost, stale, unexpected or duplicated", func(model, read string) (checker.Checker, error) {
			return checker.SetWith(checker.SetOptions{Model: model, Read: read})
		}},
		{"sessions", "each process reads its writes and never goes back; its writes are in order (Terry et al.)", func(model, read string) (checker.Checker, error) {
			return checker.Sessions(checker.SessionOptions{Model: model, Read: read})
		}},
		{"durability", "no acknowledged write is lost, nothing deleted comes back, whatever was killed", func(model, read string) (checker.Checker, error) {
			return checker.Durability(checker.DurabilityOptions{Model: model, Read: read})
		}},
		{"past-states", "every read, serializable ones included, is some real past state, and no member goes back", plain(checker.PastStates())},
		{"counter", "each read of a counter is within what the adds allow, and none goes back", func(model, read string) (checker.Checker, error) {
			return checker.Counter(checker.CounterOptions{Model: model, Read: read})
		}},
		{"unique-ids", "no identifier is given twice", plain(checker.UniqueIDs())},
		{"queue", "queues are linearizable and first in, first out", plain(checker.Queue())},
		{"total-queue", "what goes into a queue comes out, once", plain(checker.TotalQueue())},
		{"locks", "no two own a lock at once, by revisions and live leases; overlaps that leases allow are measured", plain(checker.Locks(checker.TenureOptions{}))},
		{"lock-set", "no element of a set under a lock is lost; model unfenced: but where the lock can't prevent it", func(model, _ string) (checker.Checker, error) {
			return checker.LockSet(model)
		}},
		{"leases", "keys live while their leases are renewed, end in time, and stay away", plain(checker.Leases(checker.LeasesOptions{}))},
		{"elections", "one leader at a time, seen in order; who has resigned is refused", plain(checker.Elections(checker.TenureOptions{}))},
		{"append-internal", "transactions that append to lists agree with themselves and with each other's reads", plain(checker.AppendInternal())},
		{"list-append", "transactions that append to lists: cycles and other anomalies, and which models (--model) they rule out", func(model, _ string) (checker.Checker, error) {
			return checker.ListAppend(checker.TransactionOptions{Model: model})
		}},
		{"rw-register", "transactions that write unique values to registers, likewise", func(model, _ string) (checker.Checker, error) {
			return checker.RWRegister(checker.TransactionOptions{Model: model})
		}},
		{"kv", "requests on many keys, of the newest and of past revisions, leases and compactions: every state by its revision", func(model, read string) (checker.Checker, error) {
			return checker.KV(checker.KVOptions{Model: model, Read: read})
		}},
		{"bank", "transfers between accounts neither make nor lose money, and leave no account in debt", plain(checker.Bank())},
		{"long-fork", "no two transactions see two writes in opposite orders (--model tells whether that is allowed)", func(model, _ string) (checker.Checker, error) {
			return checker.LongFork(checker.TransactionOptions{Model: model})
		}},
		{"snapshots", "lists of collections are snapshots of what was written, as fresh as they promise", func(model, _ string) (checker.Checker, error) {
			return checker.Snapshots(checker.SnapshotOptions{Model: model})
		}},
		{"watches", "streams are ordered, unique, complete, with true bookmarks, and agree with lists and writes", plain(checker.Watches())},
		{"key-watches", "watches of keys are filtered, ordered, unique, atomic, complete, with true progress and states, and agree with changes and ranges", plain(checker.KeyWatches())},
		{"changes", "creates, updates and deletes of collections agree with the versions they were given", plain(checker.Changes())},
		{"leaders", "overlap of leaders measured; none stays", plain(checker.Leaders(checker.LeadersOptions{}))},
		{"declared", "acknowledged declarations are what objects are like, none is lost", plain(checker.Declared(checker.DeclaredOptions{}))},
		{"unique", "no two live objects were given one address or port", plain(checker.Unique())},
		{"identities", "no two pods of one name ran at once, by the nodes' runtimes", plain(workloads.OneOfEachIdentity(true))},
		{"quota", "no quota stays exceeded; excess is measured", plain(workloads.NoExcess())},
		{"convergence", "what is observed comes to match what is declared, and stays; views agree with the store", func(string, string) (checker.Checker, error) {
			return checker.Converge(checker.ConvergeOptions{Rules: observe.Rules, Server: "kube-apiserver"})
		}},
		{"stats", "operations by function and outcome", plain(checker.Stats())},
		{"errors", "errors that no list knows", plain(checker.Errors())},
		{"logs", "panics, fatal errors and corruption in the nodes' logs", plain(checker.Logs())},
		{"members", "members agree after the quiet period", plain(checker.Members())},
		{"availability", "share of ok operations per node, in and out of faults", plain(checker.Availability())},
		{"exercise", "each fault took effect, and enough was done during and after it", plain(checker.Exercise(checker.Minimum{}, nil))},
	}
}

func checkerRows() []row {
	var out []row
	for _, c := range checkerTable() {
		out = append(out, row{Name: c.name, Doc: c.doc})
	}
	return out
}

func checkerNames() []string {
	var out []string
	for _, c := range checkerTable() {
		out = append(out, c.name)
	}
	return out
}

// namedCheckers makes the checkers of a list of names.
func namedCheckers(list, model, read string) ([]checker.Checker, error) {
	var out []checker.Checker
	for name := range strings.SplitSeq(list, ",") {
		c, err := oneChecker(strings.TrimSpace(name), model, read)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func oneChecker(name, model, read string) (checker.Checker, error) {
	for _, c := range checkerTable() {
		if c.name == name {
			made, err := c.make(model, read)
			if err != nil {
				return nil, usageError{err}
			}
			return made, nil
		}
	}
	return nil, usagef("there is no checker %q%s; one of: %s", name, suggest(name, checkerNames()), strings.Join(checkerNames(), ", "))
}

package kube

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/faultline/faultline/harness/control"
)

// problem is what is wrong with a process of a node.
type problem struct {
	n       *node
	process string
	err     error
}

func (p problem) Error() string { return fmt.Sprintf("%s on %s: %v", p.process, p.n.Name(), p.err) }
func (p problem) Unwrap() error { return p.err }

func join(problems []problem) error {
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// remedy is what to do about something that a component wrote before it ended.
type remedy struct {
	re *regexp.Regexp
	// fix may name the expression's groups: $1.
	fix string
}

// remedies are tried in order; the first that fits is told. The words are those of the components of Kubernetes 1.28 to 1.37, and of Go's and
// etcd's libraries in them.
var remedies = []remedy{
	{
		regexp.MustCompile(`unknown (?:shorthand )?flag: ?'?(\S+?)'?(?: in .*)?(?:\n|$)`),
		"this version does not have the flag $1: take it out of the component's arguments",
	},
	{
		regexp.MustCompile(`unrecognized feature gate: (\w+)`),
		"this version does not have the feature gate $1: see --feature-gates in the component's --help",
	},
	{
		regexp.MustCompile(`cannot set feature gate (\w+) to \w+, feature is locked to (\w+)`),
		"the feature gate $1 is $2 for good in this version: leave it out",
	},
	{
		regexp.MustCompile(`invalid argument "([^"]*)" for "([^"]*)" flag`),
		"$2 does not take $1: correct the component's arguments",
	},
	{
		regexp.MustCompile(`certificate has expired or is not yet valid|certificate has expired|certificate is not yet valid`),
		"the certificates of a run are good from a day before it for ten years: set the node's clock, or start a new run instead of the kept cluster",
	},
	{
		regexp.MustCompile(`certificate signed by unknown authority|certificate is valid for .*, not `),
		"something else than this run answers at that address, or its certificates are of another run: end the other cluster first",
	},
	{
		regexp.MustCompile(`(?:etcd.*unsupported|unsupported etcd|etcd version .* (?:not supported|too old)|unknown (?:method|service) etcdserverpb|rpc error: code = Unimplemented)`),
		"this etcd is too old for this Kubernetes: use etcd 3.5 or later (--etcd-version)",
	},
	{
		regexp.MustCompile(`listen tcp[46]? (\S+?): bind: address already in use|address already in use`),
		"another process on the node listens there $1: end it first",
	},
	{
		regexp.MustCompile(`no space left on device`),
		"the node's disk is full: free some of it",
	},
	{
		regexp.MustCompile(`too many open files`),
		"the node's limit of open files is too low: raise `ulimit -n`",
	},
	{
		regexp.MustCompile(`exec format error`),
		"the program is for another kind of machine: build or choose one for the nodes' architecture",
	},
	{
		regexp.MustCompile(`dial tcp \S+:2379: (?:connect|i/o timeout)|error creating storage factory`),
		"the API server does not reach etcd at the address above: see etcd's log on that node",
	},
}

// remedyFor is what to do about the end of a log; empty where nobody knows.
func remedyFor(tail string) string {
	for _, r := range remedies {
		if m := r.re.FindStringSubmatchIndex(tail); m != nil {
			return strings.TrimSpace(string(r.re.ExpandString(nil, r.fix, tail, m)))
		}
	}
	return ""
}

// tailLines is how much of a log an error has.
const tailLines = 20

// explain adds to a problem what the process ran and wrote last, and what to do about it, if that is known.
func (s *System) explain(ctx context.Context, p problem) error {
	log := s.logFile(p.process)
	// The log is asked for although ctx may be over: this is when it is needed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	tail := "(no log)"
	out, err := p.n.Run(ctx, control.Cmd{Args: []string{"tail", "-n", fmt.Sprint(tailLines), log}, Idempotent: true})
	if err == nil {
		tail = lastBytes(out.Stdout, 4000)
	}
	p.n.mu.Lock()
	command := strings.Join(p.n.commands[p.process], " ")
	p.n.mu.Unlock()
	fix := remedyFor(tail)
	if fix != "" {
		fix = "\n  to do: " + fix
	}
	return fmt.Errorf("%w%s\n  command: %s\n  end of %s on %s:\n%s", p, fix, command, log, p.n.Name(), tail)
}

// lastBytes is the end of a text, cut at a line where it can be.
func lastBytes(text []byte, n int) string {
	if len(text) <= n {
		return strings.TrimRight(string(text), "\n")
	}
	text = text[len(text)-n:]
	if i := strings.IndexByte(string(text), '\n'); i >= 0 && i < len(text)-1 {
		text = text[i+1:]
	}
	return "…" + strings.TrimRight(string(text), "\n")
}

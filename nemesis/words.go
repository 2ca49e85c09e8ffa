package nemesis

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Why a list of faults is refused. Both are found before anything starts.
var (
	// ErrUsage: the list names what does not exist, or words that do not go together.
	ErrUsage = errors.New("not a list of faults")
	// ErrImpossible: the fault exists, but not for this system on these nodes.
	ErrImpossible = errors.New("this cluster can't do it")
)

// refusal is an error of one of these classes whose text is one sentence for the user.
type refusal struct {
	class error
	text  string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.class }

func refuse(class error, format string, args ...any) error {
	return &refusal{class, fmt.Sprintf(format, args...)}
}

// Request is one entry of the list of faults.
type Request struct {
	Family string
	Words  []string
}

// String is the entry as it was written: "partition:leader+drop".
func (r Request) String() string {
	if len(r.Words) == 0 {
		return r.Family
	}
	return r.Family + ":" + r.words()
}

func (r Request) words() string { return strings.Join(r.Words, "+") }

// all stands for every family that can be done and voids no promise, none for no fault.
const (
	all  = "all"
	none = "none"
)

// name is what nodes, links and components are called.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Parse takes a list of faults apart: entries family[:word[+word…]] separated by commas, or "all", or "none" (as is
// an empty list). An unknown family, two words of one kind and a malformed entry are ErrUsage. Words that may be the name of
// a node, a link or a component are kept as they are: Check knows those. An entry that is there twice is kept once.
func Parse(list string) ([]Request, error) {
	var requests []Request
	entries := strings.Split(list, ",")
	for _, entry := range entries {
		entry = strings.TrimSpace(entry)
		if entry == "" && len(entries) > 1 {
			return nil, refuse(ErrUsage, "the list of faults %q has an empty entry", list)
		}
		if entry == none || entry == "" {
			if len(entries) > 1 {
				return nil, refuse(ErrUsage, "%q can't stand beside other faults in %q", none, list)
			}
			return nil, nil
		}
		r, err := parseEntry(entry)
		if err != nil {
			return nil, err
		}
		requests = add(requests, r)
	}
	return requests, nil
}

// add appends a request that is not there yet.
func add(requests []Request, r Request) []Request {
	if slices.ContainsFunc(requests, func(o Request) bool { return o.String() == r.String() }) {
		return requests
	}
	return append(requests, r)
}

func parseEntry(entry string) (Request, error) {
	family, words, colon := strings.Cut(entry, ":")
	r := Request{Family: family}
	if family == all {
		if colon {
			return r, refuse(ErrUsage, "%q takes no words, in %q", all, entry)
		}
		return r, nil
	}
	row, ok := faultOf(family)
	if !ok {
		return r, refuse(ErrUsage, "unknown fault %q: %s", family, suggest(family, families()))
	}
	if !colon {
		return r, nil
	}
	r.Words = strings.Split(words, "+")
	_, err := row.sort(r.Words, nil)
	return r, err
}

// sort puts each word to its kind. Without a scope any well-formed word may be a name.
func (f Fault) sort(words []string, s *Scope) (choice, error) {
	c := choice{}
	for _, w := range words {
		kind, err := f.kind(w, s)
		if err != nil {
			return nil, err
		}
		if kind == "" {
			continue
		}
		if before, twice := c[kind]; twice {
			return nil, refuse(ErrUsage, "%s takes one %s: %q and %q are two", f.Family, kind, before, w)
		}
		c[kind] = w
	}
	return c, nil
}

// kind is the kind of a word; empty for one that may be a name where there is no scope to tell.
func (f Fault) kind(word string, s *Scope) (string, error) {
	var known []string
	open := false
	for _, w := range f.Words {
		names, placeholder := w.names(s)
		open = open || placeholder
		if !placeholder {
			names = []string{w.Name}
		}
		if slices.Contains(names, word) {
			return w.Kind, nil
		}
		known = append(known, names...)
	}
	if s == nil && open && name.MatchString(word) {
		return "", nil
	}
	return "", refuse(ErrUsage, "unknown word %q of fault %s: %s", word, f.Family, suggest(word, known))
}

// names are what a placeholder stands for in a scope.
func (w Word) names(s *Scope) (names []string, placeholder bool) {
	if s == nil {
		s = &Scope{}
	}
	switch w.Name {
	case "NODE":
		return s.Nodes, true
	case "COMPONENT":
		return s.Components, true
	case "LINK":
		for _, l := range s.Links {
			names = append(names, l.Name)
		}
		return names, true
	}
	return nil, false
}

// Check is Parse, and then decides what can be done: every word must be known in the scope and every fault possible there
// (else ErrUsage, ErrImpossible). "all" is expanded to the faults that are possible and void no promise.
func Check(list string, s Scope) ([]Request, error) {
	parsed, err := Parse(list)
	if err != nil {
		return nil, err
	}
	var requests []Request
	for _, r := range parsed {
		if r.Family == all {
			every, err := everything(s)
			if err != nil {
				return nil, err
			}
			for _, e := range every {
				requests = add(requests, e)
			}
			continue
		}
		if _, err := prepare(r.Family, r.Words, s); err != nil {
			return nil, err
		}
		requests = add(requests, r)
	}
	return requests, nil
}

func everything(s Scope) ([]Request, error) {
	var can []Request
	var cannot []error
	for _, f := range Faults {
		if len(f.Voids) > 0 {
			continue
		}
		if _, err := prepare(f.Family, nil, s); err != nil {
			cannot = append(cannot, err)
			continue
		}
		can = append(can, Request{Family: f.Family})
	}
	if len(can) == 0 {
		return nil, refuse(ErrImpossible, "no fault is possible here: %s", oneLine(errors.Join(cannot...)))
	}
	return can, nil
}

// prepare makes the action of a family for these words.
func prepare(family string, words []string, s Scope) (action, error) {
	row, ok := faultOf(family)
	if !ok {
		return nil, refuse(ErrUsage, "unknown fault %q: %s", family, suggest(family, families()))
	}
	c, err := row.sort(words, &s)
	if err != nil {
		return nil, err
	}
	return row.New(s, c)
}

func families() []string {
	names := []string{}
	for _, f := range Faults {
		names = append(names, f.Family)
	}
	return append(names, all, none)
}

// suggest names the known word that takes the fewest edits, or all of them where even that one takes too many
// for a slip.
func suggest(word string, known []string) string {
	best, least := "", (len(word)+3)/2
	for _, k := range known {
		if d := levenshtein.ComputeDistance(word, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return "it is none of " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("did you mean %q?", best)
}

package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/faultline/faultline/harness/control"
)

// maxCutID is the longest id of a cut: the kernel's chain names end at 255 bytes.
const maxCutID = 200

// CutRequest asks to cut traffic, or, with an id alone, about a cut.
type CutRequest struct {
	ID    string            `json:"id"`
	Rules []control.CutRule `json:"rules,omitempty"`
	// Protect are the ports that the driver reaches the node by, as the node sees them: they can't be cut.
	Protect []int `json:"protect,omitempty"`
	Lease   Lease `json:"lease"`
}

// CutAnswer has one count for each rule of the cut, in their order. It is empty if there is no such cut.
type CutAnswer struct {
	Counts []control.CutCount `json:"counts"`
}

// cut drops or resets traffic. The same cut again is no error.
func (s state) cut(ctx context.Context, q CutRequest) (None, error) {
	q.Protect = protected(q.Protect)
	if err := q.validate(); err != nil {
		return None{}, fmt.Errorf("cut %q: %w", q.ID, err)
	}
	return None{}, s.locked(ctx, func() error {
		var old fault
		found, err := ReadJSON(s.faultPath(cutFault, q.ID), &old)
		if err != nil {
			return err
		}
		if found && !reflect.DeepEqual(old.Rules, q.Rules) {
			return fmt.Errorf("cut %q is in force with other rules: undo it first", q.ID)
		}
		if err := s.journal(ctx, fault{Kind: cutFault, ID: q.ID, Rules: q.Rules}, q.Lease); err != nil {
			return err
		}
		if found {
			if _, there, err := countChain(s.table, q.ID); err != nil || there {
				return err
			}
		}
		if err := removeFile(s.caughtPath(q.ID)); err != nil {
			return err
		}
		return addChain(s.table, q.ID, q.Rules)
	})
}

func (q CutRequest) validate() error {
	if q.ID == "" || len(q.ID) > maxCutID || strings.ContainsFunc(q.ID, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("its id must have 1 to %d bytes and no spaces", maxCutID)
	}
	if len(q.Rules) == 0 {
		return errors.New("no rules")
	}
	for _, r := range q.Rules {
		if len(r.Ports) == 0 {
			return errors.New("a rule without ports")
		}
		if r.ServerOnly && r.ClientOnly {
			return errors.New("a rule for servers only and for clients only matches nothing")
		}
		if err := validateEnds(r); err != nil {
			return err
		}
		for _, port := range r.Ports {
			if port < 1 || port > 65535 {
				return fmt.Errorf("no port %d", port)
			}
			if slices.Contains(q.Protect, port) {
				return fmt.Errorf("port %d is how the driver reaches this node: no fault may touch it", port)
			}
		}
	}
	return nil
}

// validateEnds: a rule is told by the sender's address, or by the loopback address of a server, or by none.
func validateEnds(r control.CutRule) error {
	for _, text := range []string{r.From, r.To} {
		if text == "" {
			continue
		}
		if _, err := netip.ParseAddr(text); err != nil {
			return fmt.Errorf("no address %q: %w", text, err)
		}
	}
	switch {
	case r.To == "":
		return nil
	case r.From != "":
		return fmt.Errorf("a rule is told by the sender's address or by a loopback address, not by both: from %s, to %s", r.From, r.To)
	case !netip.MustParseAddr(r.To).IsLoopback():
		return fmt.Errorf("to %s: only a loopback address tells a link by its server's end", r.To)
	}
	return nil
}

// uncut undoes a cut and tells what it had caught. One that is not there is no error, and if it was undone before,
// it is told what it had caught then: so the request may be repeated, and a heal in between loses nothing.
func (s state) uncut(ctx context.Context, q CutRequest) (CutAnswer, error) {
	a := CutAnswer{Counts: []control.CutCount{}}
	err := s.locked(ctx, func() error {
		counts, there, err := removeChain(s.table, q.ID)
		if err != nil {
			return err
		}
		if there {
			a.Counts = counts
			err = s.remember(q.ID, counts)
		} else {
			_, err = ReadJSON(s.caughtPath(q.ID), &a.Counts)
		}
		return errors.Join(err, s.forget(cutFault, q.ID))
	})
	return a, err
}

func (s state) caughtPath(id string) string { return s.path("caught", fileName(id)+".json") }

func (s state) remember(id string, counts []control.CutCount) error {
	return WriteJSON(s.caughtPath(id), counts)
}

// counts tells what a cut has caught so far.
func (s state) counts(_ context.Context, q CutRequest) (CutAnswer, error) {
	counts, there, err := countChain(s.table, q.ID)
	if err == nil && !there {
		err = fmt.Errorf("cut %q is not in force", q.ID)
	}
	return CutAnswer{Counts: counts}, err
}

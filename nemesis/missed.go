package nemesis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/faultline/faultline/harness"
	"github.com/faultline/faultline/harness/control"
	"github.com/faultline/faultline/harness/history"
)

// changesMax is how many writes a crash waits for, and how many objects are churned, at most.
const changesMax = 8

// tryTimeout bounds the attempt to churn at all.
const tryTimeout = 5 * time.Second

// missed pauses a component while objects come and go that it would act on, and lets it go on: it has to find out by itself what
// it did not see. Start's proof: the kernel shows the processes as stopped while the objects were churned. Stop's is that of pause.
type missed struct{ pause }

// MissedProof is its Proof.
type MissedProof struct {
	StrikeProof
	// Churned is what was made and removed meanwhile.
	Churned string `json:"churned,omitempty"`
}

// newMissed draws from all components but the first, which is the store that the others watch. Not all nodes are drawn: without any
// server nothing can be churned.
func newMissed(s Scope, words choice) (action, error) {
	watchers := s.Components
	if len(watchers) > 0 {
		watchers = watchers[1:]
	}
	switch c := words[component]; {
	case !s.Churns || len(watchers) == 0:
		return nil, refuse(ErrImpossible, "missed-events needs a system whose components watch objects that can be churned")
	case c != "" && !slices.Contains(watchers, c):
		return nil, refuse(ErrUsage, "missed-events can't strike %s: it is what the other components watch", c)
	}
	k, err := newStrike("missed-events", s, words, watchers, []string{"one", "minority", "leader"})
	return &missed{pause{k}}, err
}

// elects: of a component that elects leaders only the leader watches anything; the others have nothing to miss.
func (m *missed) elects(component string) bool { return slices.Contains(m.scope.Electing, component) }

func (m *missed) draw(d deck, i int) ([]string, Draw) {
	words, c := m.pause.draw(d, i)
	if m.words[target] == "" && m.elects(words[1]) {
		words[0] = "leader"
	}
	c.N = d.number("objects", i, changesMax)
	return words, c
}

func (m *missed) start(ctx context.Context, f *field, fault *history.Fault) error {
	var d Draw
	if err := json.Unmarshal(fault.Detail, &d); err != nil || d.N < 1 {
		return skip("its choices can't be read: %s, %v", fault.Detail, err)
	}
	churner, ok := f.System.(harness.Churner)
	if !ok {
		return skip("%s has no objects to churn", f.System.Name())
	}
	// What can't be churned with everything running would be missed by nobody.
	trying, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	if _, err := churner.Churn(trying, 1); err != nil {
		return skip("nothing can be churned now: %v", err)
	}
	if err := m.aim(ctx, f, fault, running); err != nil {
		return err
	}
	if name := m.names[0]; m.elects(name) {
		leader, err := f.leaderOf(ctx, name)
		if err != nil {
			return err
		}
		if !slices.Contains(fault.Nodes, leader) {
			return skip("no %s on %v leads: it watches nothing that it could miss", name, fault.Nodes)
		}
	}
	struck, err := m.signal(ctx, f, control.SIGSTOP, stopped)
	proof := MissedProof{StrikeProof: struck}
	if err == nil {
		churning, cancel := context.WithTimeout(ctx, f.wait)
		defer cancel()
		if proof.Churned, err = churner.Churn(churning, d.N); err != nil {
			err = doubt("nothing was missed, since nothing could be churned: %v", err)
		} else {
			err = m.stillStopped(ctx, f)
		}
	}
	fault.Proof = encode(proof)
	return err
}

// stillStopped doubts a pause that ended before the churn did.
func (m *missed) stillStopped(ctx context.Context, f *field) error {
	now, err := m.lookAgain(ctx, f)
	if err != nil {
		return err
	}
	for i, h := range m.hit {
		if now[i].Status != stopped || !same(h.Before, now[i]) {
			h.Now = now[i]
			return doubt("%s was to be stopped all the while: %s", m.what(), m.describe(h))
		}
	}
	return nil
}

func (m *missed) stop(ctx context.Context, f *field, fault *history.Fault) error {
	var began MissedProof
	if err := json.Unmarshal(fault.Proof, &began); err != nil && fault.Proof != nil {
		return fmt.Errorf("read its proof: %w", err)
	}
	proof, err := m.resume(ctx, f)
	fault.Proof = encode(MissedProof{proof, began.Churned})
	return err
}

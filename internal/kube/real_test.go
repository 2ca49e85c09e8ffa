package kube

import (
	"testing"
	"time"
)

func TestRealStart(t *testing.T) {
	o := realOptions(t, 3)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(began))
	for _, c := range s.Electing() {
		n, err := s.LeaderOf(t.Context(), c)
		t.Log(c, n, err)
	}
}

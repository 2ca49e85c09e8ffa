package kube

import (
	"fmt"
	"testing"
	"time"
)

// footprint is the resident memory of all processes of the system, in MiB, and their processor time so far.
func (s *System) footprint(t testing.TB) (mib int64, cpu time.Duration) {
	t.Helper()
	for _, n := range s.nodes {
		states, err := n.states(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range states {
			mib += st.RSSBytes >> 20
			cpu += st.CPU
		}
	}
	return mib, cpu
}

// BenchmarkStart is the time, processor time and memory that it takes until a control plane is ready, its programs being cached.
func BenchmarkStart(b *testing.B) {
	for _, nodes := range []int{3, 5} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			o := realOptions(b, nodes)
			for i := range b.N {
				o.Token = fmt.Sprint("bench", i)
				s, err := New(o)
				if err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				if err := s.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(began).Seconds(), "s-ready")
				mib, cpu := s.footprint(b)
				b.ReportMetric(float64(mib), "MiB")
				b.ReportMetric(cpu.Seconds(), "cpu-s")
				b.StopTimer()
				if err := s.Stop(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

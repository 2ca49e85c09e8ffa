package checker

import (
	"strings"
	"testing"
	"time"
)

func TestIdentities(t *testing.T) {
	span := func(pod, uid, node, from, to string) string {
		return `evidence ok runtime {"pod":"` + pod + `","uid":"` + uid + `","container":"main","from_ns":` + from + `,"to_ns":` + to + `} n=` + node + ` t=100ns / `
	}
	const (
		ops    = `0 write x 1 t=50ns / `
		unread = `evidence info runtime n=n3 t=100ns ! no answer`
	)
	moved := span("d/m-0", "u7", "n1", "1", "5") + span("d/m-0", "u8", "n2", "6", "20")
	runTranscripts(t, Identities(IdentitiesOptions{}), []transcriptCase{
		{name: "nothing", history: ``, want: "unknown", why: "no runtime's log tells of a container"},
		{name: "one after the other", history: ops + span("d/s-0", "u1", "n1", "1", "9") + span("d/s-0", "u2", "n2", "9", "20"), want: "valid"},
		{
			name: "two at once", history: ops + span("d/s-0", "u1", "n1", "1", "10") + span("d/s-0", "u2", "n2", "9", "20"), want: "invalid duplicate-identity d/s-0 [3 2]",
			why: "d/s-0 ran twice at the same time: UID u1 on n1 from 1ns until 10ns, and UID u2 on n2 from 9ns until 20ns",
		},
		{name: "two on one node", history: ops + span("d/s-0", "u1", "n1", "1", "10") + span("d/s-0", "u2", "n1", "9", "20"), want: "invalid duplicate-identity d/s-0 [3 2]"},
		{name: "one pod in two places", history: ops + span("d/s-0", "u1", "n1", "1", "10") + span("d/s-0", "u1", "n2", "9", "20"), want: "invalid duplicate-identity d/s-0 [3 2]"},
		{name: "the first one still runs", history: ops + span("d/s-0", "u1", "n1", "1", "0") + span("d/s-0", "u2", "n2", "30", "40"), want: "invalid duplicate-identity d/s-0 [3 2]"},
		{name: "one that began after the run", history: ops + span("d/s-0", "u1", "n1", "1", "0") + span("d/s-0", "u2", "n2", "60", "0"), want: "valid"},
		{name: "a container again in its pod", history: ops + span("d/s-0", "u1", "n1", "1", "10") + span("d/s-0", "u1", "n1", "9", "20") + moved, want: "valid"},
		{name: "others", history: ops + span("d/s-0", "u1", "n1", "1", "10") + span("d/s-1", "u2", "n2", "1", "10") + moved, want: "valid"},
		{
			name: "nothing moved", history: ops + span("d/s-0", "u1", "n1", "1", "10") + span("d/s-0", "u1", "n1", "9", "20") + span("d/s-1", "u2", "n2", "1", "10"), want: "unknown",
			why: "no pod was replaced by another of its name",
		},
		{
			name: "a log that could not be read", history: ops + moved + unread, want: "unknown",
			why: "the log of the container runtime on n3 could not be read: no answer",
		},
		{name: "two at once, and a log that could not be read", history: ops + span("d/s-0", "u1", "n1", "1", "10") + span("d/s-0", "u2", "n2", "9", "20") + unread, want: "invalid duplicate-identity d/s-0 [3 2]"},
		{
			name: "the first of three", history: ops + span("d/s-0", "u1", "n1", "1", "50") + span("d/s-0", "u2", "n2", "60", "70") + span("d/s-0", "u3", "n3", "45", "48"),
			want: "invalid duplicate-identity d/s-0 [4 2]",
		},
	})
	runTranscripts(t, Identities(IdentitiesOptions{Still: true}), []transcriptCase{
		{name: "a container again in its pod, and nothing need move", history: ops + span("d/s-0", "u1", "n1", "1", "10") + span("d/s-0", "u1", "n1", "9", "20"), want: "valid"},
		{name: "others, and nothing need move", history: ops + span("d/s-0", "u1", "n1", "1", "10") + span("d/s-1", "u2", "n2", "1", "10"), want: "valid"},
	})
	runTranscripts(t, Identities(IdentitiesOptions{Slack: 2 * time.Nanosecond, Only: func(pod string) bool { return strings.HasPrefix(pod, "d/") }}), []transcriptCase{
		{name: "clocks differ", history: ops + span("d/s-0", "u1", "n1", "1", "10") + span("d/s-0", "u2", "n2", "8", "20"), want: "valid"},
		{name: "clocks differ less", history: ops + span("d/s-0", "u1", "n1", "1", "10") + span("d/s-0", "u2", "n2", "7", "20"), want: "invalid duplicate-identity d/s-0 [3 2]"},
		{name: "one clock", history: ops + span("d/s-0", "u1", "n1", "1", "10") + span("d/s-0", "u2", "n1", "8", "20"), want: "invalid duplicate-identity d/s-0 [3 2]"},
		{name: "not asked for", history: ops + span("e/s-0", "u1", "n1", "1", "10") + span("e/s-0", "u2", "n1", "8", "20"), want: "unknown"},
	})
}

package checker

import (
	"encoding/json"
	"testing"
)

// What the store has after the run settles what happened, and only that.
func TestLinearizableWithWhatTheStoreHas(t *testing.T) {
	runTranscripts(t, must(t)(Linearizable(LinearizableOptions{})), []transcriptCase{
		{
			name: "an unknown write happened", want: "valid",
			history: `0 write x 1 v=2 / 1 invoke write x 5 / 1 info write x 5 / 0 write x 2 v=4 / evidence info committed x 1 v=2 / evidence info committed x 5 v=3 / evidence info committed x 2 v=4`,
		},
		{
			name: "that none is told of says nothing", want: "valid",
			history: `0 write x 1 v=2 / 1 invoke write x 5 / 1 info write x 5 / 0 write x 2 v=4 / evidence info committed x 2 v=4`,
		},
		{
			name: "a refused write happened", want: "invalid aborted-read x [6 3]",
			history: `0 write x 1 v=2 / 1 invoke write x 5 / 1 fail write x 5 ! refused / 0 write x 2 v=4 / evidence info committed x 5 v=3`,
			why:     "the store has a write of 5 to x (6) (version 3), but",
		},
		{
			name: "an unknown write happened twice", want: "invalid garbage-read x [7]",
			history: `1 invoke write x 5 / 1 info write x 5 / 0 write x 1 v=2 / 0 write x 2 v=4 / evidence info committed x 5 v=3 / evidence info committed x 5 v=5`,
		},
		{
			name: "a write that is told twice, by two members, is one", want: "valid",
			history: `1 invoke write x 5 / 1 info write x 5 / 0 write x 2 v=4 / evidence info committed x 5 v=3 / evidence info committed x 5 v=3`,
		},
		{
			name: "a compare-and-set ignored a write that nobody else saw", want: "invalid cas-mismatch x [5 6]",
			history: `0 write x 1 v=2 / 1 invoke write x 5 / 1 info write x 5 / 0 cas x [1,2] v=4 / evidence info committed x 5 v=3`,
		},
		{
			name: "an unknown write happened where it cannot have", want: "invalid garbage-read x [6]",
			history: `0 write x 1 v=2 / 0 write x 2 v=4 / 1 invoke write x 5 / 1 info write x 5 / evidence info committed x 5 v=3`,
		},
	})
}

func TestSettledWritesAreListed(t *testing.T) {
	h := transcript(t, `0 write x 1 v=2 / 1 invoke write x 5 / 1 info write x 5 / 2 invoke write x 6 / 2 info write x 6 / 0 write x 2 v=4 / evidence info committed x 5 v=3`)
	r := judge(t, must(t)(Linearizable(LinearizableOptions{})), h)
	var d LinearizableDetail
	if err := json.Unmarshal(r.Detail, &d); err != nil {
		t.Fatal(err)
	}
	if d.SettledWrites != 1 || len(d.Settled) != 1 || d.Settled[0].Version != 3 || len(d.Settled[0].By) != 1 || d.Settled[0].By[0] != 2 {
		t.Errorf("settled %d: %+v", d.SettledWrites, d.Settled)
	}
	if d.WithoutEvidence == nil || *d.WithoutEvidence != Valid || d.Operations != 4 || d.Unknown != 2 {
		t.Errorf("detail %s", r.Detail)
	}
	const want = "1 key, 4 operations, 2 of unknown outcome, 1 of these settled by what the store has (without that: valid)"
	if r.Summary != want {
		t.Errorf("summary %q, want %q", r.Summary, want)
	}
}

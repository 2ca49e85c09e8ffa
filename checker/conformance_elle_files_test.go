package checker

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/faultline/faultline/checker/transactions"
	"github.com/faultline/faultline/harness/formats"
	"github.com/faultline/faultline/internal/conformance"
)

// TestConformanceElleFiles judges the larger histories for the models that their folder's page has verdicts for. Any other is judged for strict
// serializability, and must be decided.
func TestConformanceElleFiles(t *testing.T) {
	known := map[string]map[string]string{
		"paper-example.edn":       {transactions.StrictSerializable: "invalid"},
		"si-without-g-single.edn": {"repeatable-read": "invalid", "snapshot-isolation": "valid"},
	}
	group := conformance.NewGroup(t, "Elle's larger histories")
	for _, file := range conformance.Files(t, "elle/*.edn") {
		verdicts := known[filepath.Base(file)]
		if verdicts == nil {
			verdicts = map[string]string{transactions.StrictSerializable: ""}
		}
		for _, model := range sortedKeys(verdicts) {
			src, err := formats.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			c := must(t)(ListAppend(TransactionOptions{Model: model}))
			r, err := c.Check(context.Background(), src, Budget{})
			if err != nil {
				t.Fatal(err)
			}
			theirs := verdicts[model]
			if theirs == "" && r.Verdict != Unknown {
				theirs = r.Verdict.String()
			}
			group.Case(conformance.Name(t, file)+" "+model, theirs, r.Verdict.String(), strings.Join(r.Reasons, "; ")+r.Summary)
		}
	}
}

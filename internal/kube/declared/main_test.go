package declared

import (
	"encoding/json"
	"testing"

	"github.com/faultline/faultline/harness/history"
)

type spanValue = history.RuntimeSpan

func decode[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

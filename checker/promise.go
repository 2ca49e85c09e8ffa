package checker

import (
	"errors"
	"fmt"

	"github.com/faultline/faultline/harness/history"
)

// Models that the linearizable, set and snapshot checkers know: what reads promise. Writes, compare-and-sets and adds are linearizable in
// all of them.
const (
	// ModelLinearizable: every operation takes effect at one moment between its invocation and its completion.
	ModelLinearizable = "linearizable"
	// ModelSerializable: a read returns some state that was current at or before its completion. On one member it
	// does not go back: one process sees versions rise, unless the member was restarted in between. Stale reads are
	// listed as allowed.
	ModelSerializable = "serializable"
	// ModelCached is ModelSerializable for servers that answer from caches of their own, and asks of a read what it asked for: a
	// state not older than the revision asked for (history.ReadAtLeast), or that very one (history.ReadExact). How far
	// reads were behind is measured. Stale reads, and going back in time by changing servers, are listed as allowed.
	ModelCached = "cached"
)

// ReadSerializable is a kind of read, as --read has them, beside those of history.ReadQuorum, …; others are linearizable.
const ReadSerializable = "serializable"

// ErrUnknownModel is what a checker gives that is asked for a model it does not know.
var ErrUnknownModel = errors.New("unknown model (want linearizable, serializable or cached)")

// promise is the model to check: the one asked for, else the one that the kind of read makes.
func promise(model, read string) (string, error) {
	switch model {
	case ModelLinearizable, ModelSerializable, ModelCached:
		return model, nil
	case "":
	default:
		return "", fmt.Errorf("%q: %w", model, ErrUnknownModel)
	}
	switch read {
	case ReadSerializable:
		return ModelSerializable, nil
	case history.ReadCached, history.ReadAtLeast, history.ReadExact:
		return ModelCached, nil
	}
	return ModelLinearizable, nil
}

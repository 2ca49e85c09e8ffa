package checker

import (
	"errors"
	"fmt"
)

// Models that the linearizable and set checkers know: what reads promise. Writes, compare-and-sets and adds are linearizable in both.
const (
	// ModelLinearizable: every operation takes effect at one moment between its invocation and its completion.
	ModelLinearizable = "linearizable"
	// ModelSerializable: a read returns some state that was current at or before its completion. On one member it
	// does not go back: one process sees versions rise, unless the member was restarted in between. Stale reads are
	// listed as allowed.
	ModelSerializable = "serializable"
)

// Kinds of read, as --read has them.
const (
	ReadLinearizable = "linearizable"
	ReadSerializable = "serializable"
)

// ErrUnknownModel is what a checker gives that is asked for a model it does not know.
var ErrUnknownModel = errors.New("unknown model (want linearizable or serializable)")

// promise is the model to check: the one asked for, else the one that the kind of read makes.
func promise(model, read string) (string, error) {
	switch {
	case model == ModelLinearizable || model == ModelSerializable:
		return model, nil
	case model != "":
		return "", fmt.Errorf("%q: %w", model, ErrUnknownModel)
	case read == ReadSerializable:
		return ModelSerializable, nil
	}
	return ModelLinearizable, nil
}

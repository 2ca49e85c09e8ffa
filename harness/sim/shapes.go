package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/faultline/faultline/harness/sim/replicated"
)

// parseMicros reads the value of a transaction: [["append", key, element], ["r", key, null], …].
func parseMicros(value json.RawMessage) ([]replicated.Micro, error) {
	var raw [][]json.RawMessage
	if err := json.Unmarshal(value, &raw); err != nil {
		return nil, err
	}
	micros := make([]replicated.Micro, len(raw))
	for i, parts := range raw {
		var f string
		if len(parts) != 3 {
			return nil, errors.New("want [function, key, value]")
		}
		err := errors.Join(json.Unmarshal(parts[0], &f), json.Unmarshal(parts[1], &micros[i].Key))
		switch f {
		case "r":
			micros[i].Read = true
		case "append":
			err = errors.Join(err, json.Unmarshal(parts[2], &micros[i].Element))
		default:
			err = errors.Join(err, fmt.Errorf("unknown micro-operation %q", f))
		}
		if err != nil {
			return nil, err
		}
	}
	return micros, nil
}

func containsAppend(micros []replicated.Micro) bool {
	return slices.ContainsFunc(micros, func(m replicated.Micro) bool { return !m.Read })
}

// listJSON appends a list to a JSON text.
func listJSON(text []byte, elements []int64) []byte {
	text = append(text, '[')
	for i, e := range elements {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, e, 10)
	}
	return append(text, ']')
}

// encode is the JSON of what can always be encoded: numbers, strings, and structures of them.
func encode(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return text
}

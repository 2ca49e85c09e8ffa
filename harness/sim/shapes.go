package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// parseMicros reads the value of a transaction: [["append", key, element], ["r", key, null], …].
func parseMicros(value json.RawMessage) ([]micro, error) {
	var raw [][]json.RawMessage
	if err := json.Unmarshal(value, &raw); err != nil {
		return nil, err
	}
	micros := make([]micro, len(raw))
	for i, parts := range raw {
		var f string
		if len(parts) != 3 {
			return nil, errors.New("want [function, key, value]")
		}
		err := errors.Join(json.Unmarshal(parts[0], &f), json.Unmarshal(parts[1], &micros[i].key))
		switch f {
		case "r":
			micros[i].read = true
		case "append":
			err = errors.Join(err, json.Unmarshal(parts[2], &micros[i].element))
		default:
			err = errors.Join(err, fmt.Errorf("unknown micro-operation %q", f))
		}
		if err != nil {
			return nil, err
		}
	}
	return micros, nil
}

func containsAppend(micros []micro) bool {
	return slices.ContainsFunc(micros, func(m micro) bool { return !m.read })
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

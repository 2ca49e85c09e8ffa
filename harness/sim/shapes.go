package sim

import (
	"encoding/json"
	"fmt"
	"strconv"
)

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

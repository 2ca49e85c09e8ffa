package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// depthMax bounds how deep a value may nest, as encoding/json does.
const depthMax = 10_000

var errSyntax = errors.New("not valid JSON")

func syntaxError(i int, what string) error {
	return fmt.Errorf("%w at byte %d: %s", errSyntax, i, what)
}

// skipSpace returns the index of the first byte from i on that is not JSON's white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// skipValue returns the index after the JSON value that begins at b[i]. It accepts what
// encoding/json accepts, and nothing else.
func skipValue(b []byte, i, depth int) (int, error) {
	if i >= len(b) {
		return i, syntaxError(i, "a value is missing")
	}
	switch c := b[i]; c {
	case '"':
		return skipString(b, i)
	case '{':
		return skipObject(b, i, depth+1)
	case '[':
		return skipArray(b, i, depth+1)
	case 't':
		return skipWord(b, i, "true")
	case 'f':
		return skipWord(b, i, "false")
	case 'n':
		return skipWord(b, i, "null")
	default:
		return skipNumber(b, i)
	}
}

func skipWord(b []byte, i int, word string) (int, error) {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return i, syntaxError(i, "want "+word)
	}
	return i + len(word), nil
}

func skipNumber(b []byte, i int) (int, error) {
	start := i
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch first := i; {
	case i < len(b) && b[i] == '0':
		i++
	default:
		if i = skipDigits(b, i); i == first {
			return i, syntaxError(start, "want a value")
		}
	}
	if i < len(b) && b[i] == '.' {
		first := i + 1
		if i = skipDigits(b, first); i == first {
			return i, syntaxError(i, "want a digit after the point")
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		first := i
		if i = skipDigits(b, first); i == first {
			return i, syntaxError(i, "want a digit in the exponent")
		}
	}
	return i, nil
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}

func skipString(b []byte, i int) (int, error) {
	start := i
	if i >= len(b) || b[i] != '"' {
		return i, syntaxError(i, "want a string")
	}
	for i++; i < len(b); i++ {
		c := b[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		if c == '"' {
			return i + 1, nil
		}
		n := 0
		if c == '\\' {
			n = escapeLen(b[i:])
		}
		if n == 0 {
			return i, syntaxError(i, "a control character or an unknown escape in a string")
		}
		i += n - 1
	}
	return i, syntaxError(start, "a string without its end")
}

// escapeLen is the length of the escape that b begins with; 0 if it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if isHex := '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'; !isHex {
				return 0
			}
		}
		return 6
	}
	return 0
}

func skipArray(b []byte, i, depth int) (int, error) {
	if depth > depthMax {
		return i, syntaxError(i, "nested too deep")
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	for {
		i = skipSpace(b, i)
		if end := skipShortInteger(b, i); end > i {
			i = end
		} else {
			var err error
			if i, err = skipValue(b, i, depth); err != nil {
				return i, err
			}
		}
		i = skipSpace(b, i)
		switch {
		case i < len(b) && b[i] == ',':
			i++
		case i < len(b) && b[i] == ']':
			return i + 1, nil
		default:
			return i, syntaxError(i, "want , or ] in an array")
		}
	}
}

// skipShortInteger passes over a number without sign, point or exponent, of which most arrays of histories are made; i: it is none.
func skipShortInteger(b []byte, i int) int {
	if i >= len(b) || b[i] < '1' || b[i] > '9' {
		return i
	}
	end := i + 1
	for end < len(b) && '0' <= b[end] && b[end] <= '9' {
		end++
	}
	if end < len(b) && (b[end] == ',' || b[end] == ']') {
		return end
	}
	return i
}

func skipObject(b []byte, i, depth int) (int, error) {
	return eachField(b, i, depth, nil)
}

// eachField goes through the object that begins at b[i] and returns the index after it. visit, where not nil,
// is given the text of each field's name with its quotes, and of its value.
func eachField(b []byte, i, depth int, visit func(name, value []byte) error) (int, error) {
	if depth > depthMax {
		return i, syntaxError(i, "nested too deep")
	}
	if i >= len(b) || b[i] != '{' {
		return i, syntaxError(i, "want an object")
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for {
		name := skipSpace(b, i)
		end, err := skipString(b, name)
		if err != nil {
			return end, err
		}
		if i = skipSpace(b, end); i >= len(b) || b[i] != ':' {
			return i, syntaxError(i, "want : after a field's name")
		}
		value := skipSpace(b, i+1)
		if i, err = skipValue(b, value, depth); err != nil {
			return i, err
		}
		if visit != nil {
			if err := visit(b[name:end], b[value:i]); err != nil {
				return i, err
			}
		}
		i = skipSpace(b, i)
		switch {
		case i < len(b) && b[i] == ',':
			i++
		case i < len(b) && b[i] == '}':
			return i + 1, nil
		default:
			return i, syntaxError(i, "want , or } in an object")
		}
	}
}

// checkValue tells why b can't be an operation's value: it must be one JSON value on one line.
func checkValue(b []byte) error {
	i, err := skipValue(b, skipSpace(b, 0), 1)
	if err != nil {
		return err
	}
	if i = skipSpace(b, i); i != len(b) {
		return syntaxError(i, "more than one value")
	}
	for i, c := range b {
		if c == '\n' || c == '\r' {
			return fmt.Errorf("byte %d is a line break: %w", i, errManyLines)
		}
	}
	return nil
}

var errManyLines = errors.New("a value is one line of JSON (json.Compact makes it one)")

// isPlain tells whether the inside of a JSON string is its own meaning: ASCII without escapes.
func isPlain(b []byte) bool {
	for _, c := range b {
		if c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// unquote is the meaning of a JSON string, given with its quotes. It may return a part of b.
func unquote(b []byte) ([]byte, error) {
	if inside := b[1 : len(b)-1]; isPlain(inside) {
		return inside, nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("read a string: %w", err)
	}
	return []byte(s), nil
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[done:i]...), `\ufffd`...)
				done = i + 1
			}
			i += n
			continue
		}
		if c < ' ' || c == '"' || c == '\\' {
			b = append(b, s[done:i]...)
			if c < ' ' {
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			} else {
				b = append(b, '\\', c)
			}
			done = i + 1
		}
		i++
	}
	return append(append(b, s[done:]...), '"')
}

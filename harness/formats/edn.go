package formats

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// EDN is read by this package itself, straight into JSON: the Go libraries for it know no ratios, no namespaced maps and no metadata, all of
// which Clojure prints, lose the order of maps and sets, do not bound nesting, and read 8 MB/s where histories have hundreds.

// depthMax bounds how deep a form may nest.
const depthMax = 1000

// errCutOff is what a form without its end gives.
var errCutOff = errors.New("a form that has no end: is the file cut off?")

// ednReader goes through EDN and writes the JSON that means the same:
//
//	nil, true, false, numbers, strings   themselves; big, hex and ratio numbers of other forms as strings where JSON has none
//	keywords, symbols, characters        strings, without the colon or backslash
//	vectors, lists, sets                 arrays, in the order of the text
//	maps                                 objects; keys that are no words are their JSON text
//	tagged forms                         the form; metadata and #_ forms are passed over
type ednReader struct {
	b   []byte
	i   int
	out []byte
	// tag is the tag of the outermost form that value read last, "" if it had none.
	tag string
}

func (r *ednReader) errorf(format string, args ...any) error {
	return fmt.Errorf("byte %d: %s", r.i, fmt.Sprintf(format, args...))
}

// end tells that nothing but space and comments follows.
func (r *ednReader) end() (bool, error) {
	err := r.space(1)
	return r.i >= len(r.b), err
}

// spaces are EDN's white space, to which commas belong.
var spaces = [256]bool{' ': true, ',': true, '\t': true, '\n': true, '\r': true, '\f': true}

func isSpace(c byte) bool { return spaces[c] }

// ends are the bytes that end a token.
var ends = func() (t [256]bool) {
	for _, c := range "()[]{}\";@^`~ ,\t\n\r\f" {
		t[c] = true
	}
	return t
}()

func isEnd(c byte) bool { return ends[c] }

// space passes over white space, comments and discarded forms.
func (r *ednReader) space(depth int) error {
	for r.i < len(r.b) && isSpace(r.b[r.i]) {
		r.i++
	}
	for r.i < len(r.b) {
		switch c := r.b[r.i]; {
		case isSpace(c):
			r.i++
		case c == ';':
			r.comment()
		case c == '#' && r.i+1 < len(r.b) && r.b[r.i+1] == '_':
			r.i += 2
			if err := r.discard(depth + 1); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

func (r *ednReader) comment() {
	for r.i < len(r.b) && r.b[r.i] != '\n' {
		r.i++
	}
}

// discard reads a form and forgets it.
func (r *ednReader) discard(depth int) error {
	at := len(r.out)
	err := r.value(depth)
	r.out = r.out[:at]
	return err
}

// value reads one form.
func (r *ednReader) value(depth int) error {
	if depth > depthMax {
		return r.errorf("nested more than %d deep", depthMax)
	}
	if err := r.space(depth); err != nil {
		return err
	}
	return r.form(depth)
}

// form reads the form that begins here.
func (r *ednReader) form(depth int) error {
	if depth > depthMax {
		return r.errorf("nested more than %d deep", depthMax)
	}
	if r.i >= len(r.b) {
		return errCutOff
	}
	r.tag = ""
	switch c := r.b[r.i]; {
	case c == ':':
		return r.keyword()
	case c == '[':
		return r.sequence(']', depth)
	case c == '(':
		return r.sequence(')', depth)
	case c == '{':
		return r.object("", depth)
	case c == '"':
		return r.text()
	case c == '\\':
		return r.character()
	case c == '#':
		return r.dispatch(depth)
	case c == '^':
		r.i++
		if err := r.discard(depth + 1); err != nil {
			return err
		}
		return r.value(depth + 1)
	case c >= '0' && c <= '9', (c == '-' || c == '+') && r.i+1 < len(r.b) && r.b[r.i+1] >= '0' && r.b[r.i+1] <= '9':
		return r.number()
	case isEnd(c), c < ' ', c == 0x7f:
		return r.errorf("want a form, not %q", c)
	}
	return r.symbol()
}

// token takes everything up to what ends a token.
func (r *ednReader) token() []byte {
	start := r.i
	for r.i < len(r.b) && !isEnd(r.b[r.i]) {
		r.i++
	}
	return r.b[start:r.i]
}

func (r *ednReader) keyword() error {
	r.i++
	name := r.token()
	if len(name) > 0 && name[0] == ':' { // ::name, which Clojure's reader resolves
		name = name[1:]
	}
	if len(name) == 0 {
		return r.errorf("a keyword without a name")
	}
	return r.word(name)
}

// word writes a token as a string.
func (r *ednReader) word(name []byte) error {
	for _, c := range name {
		if c < ' ' || c == '\\' || c >= utf8.RuneSelf {
			if !utf8.Valid(name) {
				return r.errorf("a name that is not UTF-8")
			}
			r.out = appendJSON(r.out, string(name))
			return nil
		}
	}
	r.out = append(append(append(r.out, '"'), name...), '"')
	return nil
}

func (r *ednReader) symbol() error {
	switch name := r.token(); string(name) {
	case "nil":
		r.out = append(r.out, "null"...)
	case "true", "false":
		r.out = append(r.out, name...)
	default:
		return r.word(name)
	}
	return nil
}

// number reads a number. Integers of any size and decimals are JSON's numbers, without EDN's suffixes; what JSON
// has no number for (ratios, hexadecimal) is a string.
func (r *ednReader) number() error {
	at := r.i
	if r.shortInteger() {
		return nil
	}
	b := r.token()
	digits := b
	if digits[0] == '+' {
		digits = digits[1:]
	}
	if last := digits[len(digits)-1]; last == 'N' || last == 'M' {
		digits = digits[:len(digits)-1]
	}
	switch isNumber(digits) {
	case integral:
		r.out = append(r.out, digits...)
		return nil
	case decimal:
		r.out = append(r.out, digits...)
		if digits[len(digits)-1] == '.' {
			r.out = append(r.out, '0')
		}
		return nil
	}
	if strings.ContainsAny(string(b), "/xX") || isOctal(digits) {
		return r.word(b)
	}
	r.i = at
	return r.errorf("%q is no number", b)
}

// shortInteger reads a whole number as most are: without a sign or a suffix.
func (r *ednReader) shortInteger() bool {
	i := r.i
	for i < len(r.b) && '0' <= r.b[i] && r.b[i] <= '9' {
		i++
	}
	if i == r.i || r.b[r.i] == '0' && i > r.i+1 || i < len(r.b) && !isEnd(r.b[i]) {
		return false
	}
	r.out = append(r.out, r.b[r.i:i]...)
	r.i = i
	return true
}

// kinds of numbers.
const (
	otherwise = iota
	integral
	decimal
)

// isNumber tells JSON's integers, and its decimals with the freedom to end in a point.
func isNumber(b []byte) int {
	i, kind := 0, integral
	digits := func() bool {
		from := i
		for i < len(b) && '0' <= b[i] && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(b) && b[i] == '-' {
		i++
	}
	if zero := i; !digits() || b[zero] == '0' && i > zero+1 {
		return otherwise
	}
	if i < len(b) && b[i] == '.' {
		kind = decimal
		if i++; !digits() && i < len(b) {
			return otherwise // 1.e5
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		kind = decimal
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return otherwise
		}
	}
	if i != len(b) {
		return otherwise
	}
	return kind
}

func isOctal(b []byte) bool {
	_, err := strconv.ParseInt(string(b), 0, 64)
	return err == nil && len(b) > 1
}

// text reads a string.
func (r *ednReader) text() error {
	start := r.i
	for i := start + 1; i < len(r.b); i++ {
		switch c := r.b[i]; {
		case c == '"':
			r.i = i + 1
			if !utf8.Valid(r.b[start:r.i]) {
				return r.errorf("a string that is not UTF-8")
			}
			r.out = append(r.out, r.b[start:r.i]...)
			return nil
		case c == '\\' || c < ' ' || c == 0x7f:
			return r.textEscaped()
		}
	}
	return errCutOff
}

// textEscaped reads a string that has escapes, or bytes that JSON writes as escapes.
func (r *ednReader) textEscaped() error {
	var s []byte
	for r.i++; r.i < len(r.b); {
		c := r.b[r.i]
		r.i++
		switch c {
		case '"':
			if !utf8.Valid(s) {
				return r.errorf("a string that is not UTF-8")
			}
			r.out = appendJSON(r.out, string(s))
			return nil
		case '\\':
			var err error
			if s, err = r.escape(s); err != nil {
				return err
			}
		default:
			s = append(s, c)
		}
	}
	return errCutOff
}

// escape appends what an escape in a string means.
func (r *ednReader) escape(s []byte) ([]byte, error) {
	if r.i >= len(r.b) {
		return s, errCutOff
	}
	c := r.b[r.i]
	r.i++
	if at := strings.IndexByte(`tnrbf"\'/`, c); at >= 0 {
		return append(s, "\t\n\r\b\f\"\\'/"[at]), nil
	}
	base, digits := 16, 4
	switch {
	case c == 'u':
	case c >= '0' && c <= '7':
		base, digits, r.i = 8, 1, r.i-1
		for digits < 3 && r.i+digits < len(r.b) && r.b[r.i+digits] >= '0' && r.b[r.i+digits] <= '7' {
			digits++
		}
	default:
		return s, r.errorf(`\%c is no escape`, c)
	}
	if r.i+digits > len(r.b) {
		return s, errCutOff
	}
	n, err := strconv.ParseUint(string(r.b[r.i:r.i+digits]), base, 16)
	if err != nil {
		return s, r.errorf("an escape of no character")
	}
	r.i += digits
	return utf8.AppendRune(s, rune(n)), nil
}

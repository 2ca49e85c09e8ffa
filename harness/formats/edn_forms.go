package formats

import (
	"encoding/json"
	"unicode/utf8"
)

// appendJSON appends a string as JSON.
func appendJSON(b []byte, s string) []byte {
	q, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...) // strings can be written
	}
	return append(b, q...)
}

// characters are the ones that have names.
var characters = map[string]string{
	"newline": "\n", "return": "\r", "space": " ", "tab": "\t", "formfeed": "\f", "backspace": "\b",
}

func (r *ednReader) character() error {
	r.i++
	if r.i >= len(r.b) {
		return errCutOff
	}
	_, n := utf8.DecodeRune(r.b[r.i:])
	start := r.i
	r.i += n // one that would end a token is a character as well
	r.token()
	name := string(r.b[start:r.i])
	c, named := characters[name]
	switch {
	case named:
		name = c
	case len(name) == 5 && name[0] == 'u':
		s, err := (&ednReader{b: []byte(name)}).escape(nil)
		if err != nil {
			return r.errorf(`\%s is no character`, name)
		}
		name = string(s)
	case utf8.RuneCountInString(name) != 1 || !utf8.ValidString(name):
		return r.errorf(`\%s is no character`, name)
	}
	r.out = appendJSON(r.out, name)
	return nil
}

// dispatch reads what begins with #.
func (r *ednReader) dispatch(depth int) error {
	r.i++
	if r.i >= len(r.b) {
		return errCutOff
	}
	switch r.b[r.i] {
	case '{':
		return r.sequence('}', depth)
	case '"': // a regular expression, as Clojure prints it
		return r.regex()
	case '#':
		r.i++
		return r.word(r.token()) // ##NaN, ##Inf, ##-Inf
	case ':':
		return r.namespaced(depth)
	case '\'':
		r.i++
		return r.word(r.token()) // #'var
	}
	tag := r.token()
	if len(tag) == 0 || isSpace(tag[0]) {
		return r.errorf("a tag without a name")
	}
	err := r.value(depth + 1)
	r.tag = string(tag)
	return err
}

// regex reads a regular expression: its backslashes are no escapes.
func (r *ednReader) regex() error {
	start := r.i + 1
	for i := start; i < len(r.b); i++ {
		switch r.b[i] {
		case '\\':
			i++
		case '"':
			r.i = i + 1
			r.out = appendJSON(r.out, string(r.b[start:i]))
			return nil
		}
	}
	return errCutOff
}

// namespaced reads a map whose keys are written without their namespace: #:db{:id 1}.
func (r *ednReader) namespaced(depth int) error {
	r.i++
	name := string(r.token())
	if err := r.space(depth); err != nil {
		return err
	}
	if name == "" || r.i >= len(r.b) || r.b[r.i] != '{' {
		return r.errorf("want a namespace and a map behind #:")
	}
	return r.object(name+"/", depth)
}

// sequence reads forms up to the closing byte.
func (r *ednReader) sequence(end byte, depth int) error {
	r.i++
	r.out = append(r.out, '[')
	for first := true; ; first = false {
		if err := r.space(depth); err != nil {
			return err
		}
		if r.i >= len(r.b) {
			return errCutOff
		}
		if r.b[r.i] == end {
			r.i++
			r.out = append(r.out, ']')
			r.tag = ""
			return nil
		}
		if !first {
			r.out = append(r.out, ',')
		}
		if err := r.form(depth + 1); err != nil {
			return err
		}
	}
}

// object reads a map.
func (r *ednReader) object(namespace string, depth int) error {
	r.i++
	r.out = append(r.out, '{')
	for first := true; ; first = false {
		more, err := r.entry(depth)
		if err != nil {
			return err
		}
		if !more {
			r.out = append(r.out, '}')
			r.tag = ""
			return nil
		}
		if !first {
			r.out = append(r.out, ',')
		}
		if err := r.name(namespace, depth); err != nil {
			return err
		}
		r.out = append(r.out, ':')
		if err := r.mapped(depth); err != nil {
			return err
		}
	}
}

// entry moves to a map's next key; false: the map ends.
func (r *ednReader) entry(depth int) (more bool, err error) {
	if err := r.space(depth); err != nil {
		return false, err
	}
	if r.i >= len(r.b) {
		return false, errCutOff
	}
	if r.b[r.i] != '}' {
		return true, nil
	}
	r.i++
	return false, nil
}

// mapped reads the value of a key.
func (r *ednReader) mapped(depth int) error {
	if err := r.space(depth); err != nil {
		return err
	}
	if r.i < len(r.b) && r.b[r.i] == '}' {
		return r.errorf("a key without a value")
	}
	return r.form(depth + 1)
}

// name reads a key and writes it as a string.
func (r *ednReader) name(namespace string, depth int) error {
	at := len(r.out)
	plain := r.b[r.i] == ':' && namespace == ""
	if err := r.value(depth + 1); err != nil || plain {
		return err
	}
	text := string(r.out[at:])
	if text[0] == '"' {
		if err := json.Unmarshal([]byte(text), &text); err != nil {
			return r.errorf("a key that can't be read: %v", err)
		}
	}
	r.out = appendJSON(r.out[:at], namespace+text)
	return nil
}

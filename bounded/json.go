package bounded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// JSON is a valid JSON document from Parse, or a value within one. Values share the document's memory.
type JSON []byte

// Parse validates a document like encoding/json.
func Parse(document []byte) (JSON, error) {
	// Not jsontext: its errors contain the names on the path to the mistake, which may be long.
	if !json.Valid(document) {
		return nil, errors.New("not JSON")
	}
	return bytes.TrimSpace(document), nil
}

// ErrEnough stops Fields or Elements without an error.
var ErrEnough = errors.New("enough")

// maxName bounds names of fields in bytes. A longer name counts as empty.
const maxName = 64

// Fields calls each for every field of an object, in order, including duplicates. It fails if j is not an object, or if each
// returns an error.
func (j JSON) Fields(each func(name string, value JSON) error) error {
	return j.walk('{', func(quoted, value JSON) error {
		name, _ := quoted.Text(maxName)
		return each(name, value)
	})
}

// Elements calls each for every element of an array, in order. null counts as an empty array. It fails if j is neither, or
// if each returns an error.
func (j JSON) Elements(each func(value JSON) error) error {
	if j.IsNull() {
		return nil
	}
	return j.walk('[', func(_, value JSON) error { return each(value) })
}

// Without returns a copy of an object without the fields of that name. Error: ErrTooLarge if the copy would exceed most
// bytes.
func (j JSON) Without(name string, most int) (JSON, error) {
	copied := []byte("{")
	err := j.walk('{', func(quoted, value JSON) error {
		if this, _ := quoted.Text(maxName); this == name {
			return nil
		}
		if len(copied)+len(quoted)+len(value)+len(",:}") > most {
			return tooLarge(most)
		}
		if len(copied) > 1 {
			copied = append(copied, ',')
		}
		copied = append(append(append(copied, quoted...), ':'), value...)
		return nil
	})
	return append(copied, '}'), err
}

// IsNull reports whether j is null.
func (j JSON) IsNull() bool { return string(j) == "null" }

// IsArray reports whether j is an array.
func (j JSON) IsArray() bool { return len(j) > 0 && j[0] == '[' }

// IsText reports whether j is a string.
func (j JSON) IsText() bool { return len(j) > 1 && j[0] == '"' }

// Text returns a copy of a string's value. ok is false if j is not a string, or if the value has more than most bytes.
func (j JSON) Text(most int) (_ string, ok bool) {
	if !j.IsText() || len(j)-2 > 6*most { // an escape takes at most 6 bytes for one
		return "", false
	}
	inner := []byte(j[1 : len(j)-1])
	for _, c := range inner {
		if c == '\\' || c >= utf8.RuneSelf {
			// The only possible error is invalid UTF-8, which becomes U+FFFD.
			inner, _ = jsontext.AppendUnquote(nil, []byte(j))
			break
		}
	}
	if len(inner) > most {
		return "", false
	}
	return string(inner), true
}

// Number returns the value of an integer. ok is false if j is not an integer.
func (j JSON) Number() (_ int64, ok bool) {
	if len(j) > 20 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(j), 10, 64)
	return n, err == nil
}

// decoder accepts the same documents as encoding/json. Rejecting duplicate names would need memory for all names.
type decoder struct {
	jsontext.Decoder
	data bytes.Buffer
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

func (d *decoder) reset(data []byte) {
	d.data = *bytes.NewBuffer(data)
	d.Reset(&d.data, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// walk calls each for every value in an object or array. Only values in an object have a name.
func (j JSON) walk(kind jsontext.Kind, each func(name, value JSON) error) error {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	d.reset(j)
	defer d.reset(nil) // the pool must not retain the document
	first, err := d.ReadToken()
	if err != nil {
		return err
	}
	if first.Kind() != kind {
		return fmt.Errorf("not a JSON %s", map[jsontext.Kind]string{'{': "object", '[': "array"}[kind])
	}
	read := func() (JSON, error) {
		value, err := d.ReadValue()
		end := d.InputOffset()
		return j[end-int64(len(value)) : end : end], err
	}
	for d.PeekKind() != kind+2 { // '}' or ']'
		var name JSON
		if kind == '{' {
			if name, err = read(); err != nil {
				return err
			}
		}
		value, err := read()
		if err != nil {
			return err
		}
		if err := each(name, value); errors.Is(err, ErrEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

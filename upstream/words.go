package upstream

import (
	"context"
	"errors"
	"net"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWords limits in bytes the text of an upstream that is kept, logged and passed on.
const maxWords = 500

// printable replaces unprintable characters in the text of an upstream by spaces, and cuts it to a length in bytes.
func printable(s string, length int) string {
	if len(s) <= length && isPrintable(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = ' '
		}
		if b.Len()+utf8.RuneLen(r) > length-len("…") {
			return b.String() + "…"
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// causes are the errors that brief preserves for errors.Is.
var causes = []error{ErrBadContent, ErrWrongRange, context.DeadlineExceeded, context.Canceled}

// brief returns a short error unchanged, and shortens the text of a long one. Errors of net/http repeat what a server sent,
// up to all of its headers.
func brief(err error) error {
	text := err.Error()
	if len(text) <= maxWords && isPrintable(text) {
		return err
	}
	return recognized(err, printable(text, maxWords))
}

// unquoted removes from an error of net/http what it quotes of a malformed response, which may be a signed URL.
func unquoted(err error) error {
	text := err.Error()
	if i := strings.Index(text, "malformed"); i >= 0 {
		before, _, _ := strings.Cut(text[i:], ":")
		text = text[:i] + before
	}
	text, _, _ = strings.Cut(text, `"`)
	if text == err.Error() {
		return err
	}
	return recognized(err, printable(strings.TrimRight(text, " :"), maxWords))
}

// recognized returns an error with another text and the same causes.
func recognized(err error, text string) error {
	b := &briefError{text: text}
	for _, cause := range causes {
		if errors.Is(err, cause) {
			b.causes = append(b.causes, cause)
		}
	}
	var timeout net.Error
	b.timeout = errors.As(err, &timeout) && timeout.Timeout()
	return b
}

type briefError struct {
	text    string
	causes  []error
	timeout bool
}

func (e *briefError) Error() string   { return e.text }
func (e *briefError) Unwrap() []error { return e.causes }

// Timeout and Temporary implement net.Error.
func (e *briefError) Timeout() bool   { return e.timeout }
func (e *briefError) Temporary() bool { return e.timeout }

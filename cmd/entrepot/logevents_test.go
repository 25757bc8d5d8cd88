package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// logEvents are the levels of log events by message. A level is empty if it is not constant.
type logEvents map[string][]string

func (e logEvents) add(message, level string) {
	if !slices.Contains(e[message], level) {
		e[message] = append(e[message], level)
	}
}

func TestLogEventsAreDocumented(t *testing.T) {
	logged, documented := codeEvents(t), documentedEvents(t)
	for message, levels := range logged {
		if slices.Equal(levels, []string{"debug"}) {
			continue
		}
		cell, ok := documented[message]
		if !assert.True(t, ok, "log event %q is not in docs/operations.md", message) {
			continue
		}
		for _, level := range levels {
			assert.Contains(t, cell, level, "level of %q in docs/operations.md", message)
		}
	}
	for message := range documented {
		assert.Contains(t, logged, message, "no code logs this event of docs/operations.md")
	}
}

// loggerName matches the names of variables and fields that are loggers.
var loggerName = regexp.MustCompile(`^s?[lL]og(ger)?$|Log$`)

// codeEvents returns the events that the program logs.
func codeEvents(t *testing.T) logEvents {
	t.Helper()
	events := logEvents{}
	files := token.NewFileSet()
	require.NoError(t, filepath.WalkDir(testenv.Root(), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if name := entry.Name(); strings.HasPrefix(name, ".") || strings.HasSuffix(name, "test") || slices.Contains([]string{"infra", "e2e", "bench", "testdata"}, name) {
				return filepath.SkipDir
			}
			return nil
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.CallExpr:
				addCall(t, events, files, node)
			case *ast.CompositeLit: // messages that the kinds of records differ by
				if kind, ok := node.Type.(*ast.Ident); ok && kind.Name == "events" {
					addFields(events, node)
				}
			}
			return true
		})
		return nil
	}))
	require.NotEmpty(t, events)
	return events
}

// addCall adds the event of a call if it calls a logger. Messages must be constant or fields of an events value.
func addCall(t *testing.T, events logEvents, files *token.FileSet, call *ast.CallExpr) {
	t.Helper()
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !loggerName.MatchString(lastName(method.X)) {
		return
	}
	at, level := 0, strings.ToLower(method.Sel.Name)
	switch method.Sel.Name {
	case "Debug", "Info", "Warn", "Error":
	case "DebugContext", "InfoContext", "WarnContext", "ErrorContext":
		at, level = 1, strings.TrimSuffix(level, "context")
	case "Log", "LogAttrs", "NewRecord":
		at, level = 2, ""
	default:
		return
	}
	if len(call.Args) <= at {
		return
	}
	if message, ok := constant(call.Args[at]); ok {
		events.add(message, level)
		return
	}
	field, ok := call.Args[at].(*ast.SelectorExpr)
	assert.True(t, ok && lastName(field.X) == "events", "%s: log message is not constant", files.Position(call.Pos()))
}

func addFields(events logEvents, literal *ast.CompositeLit) {
	for _, value := range literal.Elts {
		if pair, ok := value.(*ast.KeyValueExpr); ok {
			value = pair.Value
		}
		if message, ok := constant(value); ok {
			events.add(message, "")
		}
	}
}

// lastName returns the last identifier of an expression such as a.b.c.
func lastName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	}
	return ""
}

// constant returns the value of a string literal.
func constant(x ast.Expr) (string, bool) {
	literal, ok := x.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(literal.Value)
	return value, err == nil
}

var quoted = regexp.MustCompile("`([^`]+)`")

// documentedEvents returns the events in the table of docs/operations.md, with the text of the level column.
func documentedEvents(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "operations.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n| event | level |")
	require.True(t, found, "docs/operations.md has no table of log events")
	section, _, _ = strings.Cut(section, "\n\n")
	documented := map[string]string{}
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, match := range quoted.FindAllStringSubmatch(cells[1], -1) {
				documented[match[1]] = cells[2]
			}
		}
	}
	require.NotEmpty(t, documented)
	return documented
}

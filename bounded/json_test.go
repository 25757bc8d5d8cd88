package bounded_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/bounded"
)

func parse(t *testing.T, document string) bounded.JSON {
	t.Helper()
	parsed, err := bounded.Parse([]byte(document))
	require.NoError(t, err)
	return parsed
}

func TestFieldsAndElements(t *testing.T) {
	document := parse(t, ` {"a": 1, "b":[{"c":"x"}, null,"y" ] ,"a":"again","\u0064":{}} `)
	var fields, elements []string
	require.NoError(t, document.Fields(func(name string, value bounded.JSON) error {
		fields = append(fields, name+"="+string(value))
		if name != "b" {
			return nil
		}
		return value.Elements(func(value bounded.JSON) error {
			elements = append(elements, string(value))
			return nil
		})
	}))
	assert.Equal(t, []string{"a=1", `b=[{"c":"x"}, null,"y" ]`, `a="again"`, "d={}"}, fields)
	assert.Equal(t, []string{`{"c":"x"}`, "null", `"y"`}, elements)
}

func TestInvalidJSONRefused(t *testing.T) {
	for name, document := range map[string]string{
		"empty": "", "blank": " \n", "truncated": `{"a":`, "trailing data": "{} {}",
		"HTML": "<html>", "too deep": `{"a":` + strings.Repeat("[", 8<<20), "no value": `{"a"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bounded.Parse([]byte(document))
			require.Error(t, err)
			assert.Less(t, len(err.Error()), 200)
		})
	}
	for _, other := range []string{" [] ", "null", "1", `"x"`} {
		require.Error(t, parse(t, other).Fields(func(string, bounded.JSON) error { return nil }))
	}
	require.Error(t, parse(t, "{}").Elements(func(bounded.JSON) error { return nil }))
	require.NoError(t, parse(t, " null ").Elements(func(bounded.JSON) error { return nil }))
}

func TestErrEnoughStopsWalk(t *testing.T) {
	seen := 0
	count := func(err error) func(bounded.JSON) error {
		return func(bounded.JSON) error { seen++; return err }
	}
	require.NoError(t, parse(t, `[1,2]`).Elements(count(bounded.ErrEnough)))
	broken := errors.New("broken")
	require.Equal(t, broken, parse(t, `[1,2]`).Elements(count(broken)))
	assert.Equal(t, 2, seen)
}

func TestTextAndNumber(t *testing.T) {
	for value, want := range map[string]string{
		`"abc"`: "abc", `""`: "", `"\u0061\n"`: "a\n", `"é"`: "é", "\"a\xff\"": "a\ufffd",
	} {
		got, ok := bounded.JSON(value).Text(8)
		assert.True(t, ok, value)
		assert.Equal(t, want, got)
	}
	for _, value := range []string{`null`, `1`, `"123456789"`, `"\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061"`, `"` + strings.Repeat("x", 1<<20) + `"`, ``} {
		_, ok := bounded.JSON(value).Text(8)
		assert.False(t, ok, "%.20s", value)
	}
	n, ok := bounded.JSON("-12").Number()
	assert.True(t, ok)
	assert.EqualValues(t, -12, n)
	for _, value := range []string{"1.5", `"1"`, "1e3", strings.Repeat("9", 1000)} {
		_, ok := bounded.JSON(value).Number()
		assert.False(t, ok)
	}
}

func TestWithoutRemovesField(t *testing.T) {
	long := strings.Repeat("x", 100)
	for object, want := range map[string]string{
		`{}`:                                  `{}`,
		` {"a" : [1] ,"b":{"a":2},"a":3}`:     `{"b":{"a":2}}`,
		`{"` + long + `":1,"a":2,"\u0061":3}`: `{"` + long + `":1}`,
	} {
		got, err := parse(t, object).Without("a", 200)
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
	_, err := parse(t, `{"b":"12345678"}`).Without("a", 15)
	require.ErrorIs(t, err, bounded.ErrTooLarge)
	_, err = parse(t, `{"a":"12345678","b":1}`).Without("a", 15)
	require.NoError(t, err)
}

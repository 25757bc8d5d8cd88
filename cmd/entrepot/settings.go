package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/entrepot-io/entrepot/handlers"
)

// setting describes one field of config.
type setting struct {
	Group, Variable, Flag, Default, Doc string

	Type   string // in the help, such as duration
	Secret bool   // never printed
}

// settings returns all settings in the order of config's fields.
func settings() []setting {
	var all []setting
	var group string
	for field := range reflect.TypeFor[config]().Fields() {
		key, ok := field.Tag.Lookup("env")
		if !ok {
			continue
		}
		group = cmp.Or(field.Tag.Get("group"), group)
		all = append(all, setting{
			Group:    group,
			Variable: prefix + key,
			Flag:     strings.ToLower(strings.ReplaceAll(key, "_", "-")),
			Default:  field.Tag.Get("envDefault"),
			Doc:      field.Tag.Get("doc"),
			Type:     cmp.Or(typeNames[field.Type], "string"),
			Secret:   field.Type == reflect.TypeFor[secret](),
		})
	}
	return all
}

// typeNames are the types in the help that are not string.
var typeNames = map[reflect.Type]string{
	reflect.TypeFor[bool]():          boolType,
	reflect.TypeFor[int]():           "int",
	reflect.TypeFor[time.Duration](): "duration",
	reflect.TypeFor[byteSize]():      "size",
	reflect.TypeFor[percentage]():    "percentage",
	reflect.TypeFor[autoDuration]():  "duration",
	reflect.TypeFor[autoSize]():      "size",
	reflect.TypeFor[age]():           "duration",
	reflect.TypeFor[storeURL]():      "url",
	reflect.TypeFor[endpointURL]():   "url",
	reflect.TypeFor[networks]():      "networks",
	reflect.TypeFor[upstreamList]():  "upstreams",
	reflect.TypeFor[ttlRules]():      "rules",
	reflect.TypeFor[bucketStyle]():   "path|host|auto",
	reflect.TypeFor[handlers.Miss](): "stream|redirect",
	reflect.TypeFor[slog.Level]():    "level",
	reflect.TypeFor[logFormat]():     "text|json",
}

// boolType is pflag's name for flags that may stand without a value.
const boolType = "bool"

// settingFlag is the flag of a setting. It keeps the text: loadConfig parses it like the variable's, so that both accept the
// same values and have the same errors.
type settingFlag struct{ text, typeName string }

func (f *settingFlag) String() string     { return f.text }
func (f *settingFlag) Type() string       { return f.typeName }
func (f *settingFlag) Set(s string) error { f.text = s; return nil }

// addFlags adds a flag for each setting.
func addFlags(flags *pflag.FlagSet) {
	for _, s := range settings() {
		f := flags.VarPF(&settingFlag{s.Default, s.Type}, s.Flag, "", fmt.Sprintf("%s [%s]", s.Doc, s.Variable))
		if s.Type == boolType {
			f.NoOptDefVal = "true"
		}
	}
}

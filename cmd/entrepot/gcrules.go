package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/entrepot-io/entrepot/mirror/gc"
	"github.com/entrepot-io/entrepot/mirror/inventory"
)

// gcRules is a file of rules.
type gcRules struct {
	Rules []struct {
		Pattern  string   `yaml:"pattern"`
		MaxSize  byteSize `yaml:"maxSize"`
		MaxAge   age      `yaml:"maxAge"`
		KeepLast int      `yaml:"keepLast"`
		Keep     bool     `yaml:"keep"`
	} `yaml:"rules"`
}

// age is a duration such as 30d.
type age time.Duration

func (a *age) UnmarshalText(text []byte) error {
	d, err := duration(string(text))
	if err == nil && d < 0 {
		err = errors.New("negative; write for example 30d")
	}
	*a = age(d)
	return err
}

func (a age) String() string { return time.Duration(a).String() }

// readRules reads a file of rules. Its errors are usage errors.
func readRules(file string) ([]gc.Rule, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError{err}
	}
	var parsed gcRules
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&parsed); err != nil && !errors.Is(err, io.EOF) {
		return nil, usageError{fmt.Errorf("%s: %w", file, errors.New(strings.Join(strings.Fields(err.Error()), " ")))}
	}
	var rules []gc.Rule
	for i, r := range parsed.Rules {
		if r.Pattern == "" {
			return nil, usageError{fmt.Errorf("%s: rule %d has no pattern", file, i+1)}
		}
		if r.KeepLast < 0 {
			return nil, usageError{fmt.Errorf("%s: rule %d keeps a negative number of tags", file, i+1)}
		}
		rules = append(rules, gc.Rule{
			Pattern: inventory.ParsePattern(r.Pattern),
			Limits:  gc.Limits{MaxBytes: int64(r.MaxSize), MaxAge: time.Duration(r.MaxAge), KeepLast: r.KeepLast, Keep: r.Keep},
		})
	}
	return rules, nil
}

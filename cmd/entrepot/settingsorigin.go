package main

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/pflag"
)

// origin says where the value of a setting comes from.
type origin string

const (
	fromDefault     origin = "default"
	fromPlatform    origin = "platform"
	fromEnvironment origin = "environment"
	fromFlag        origin = "flag"
)

// texts are the texts of the settings before they are parsed.
type texts struct {
	environment map[string]string // all variables; a setting without a text has its default
	origins     map[string]origin // by variable, of the settings that have a text
	platform    platform
}

// settingTexts merges the environment variables, the flags and the platform's defaults.
func settingTexts(environ []string, flags *pflag.FlagSet) (texts, error) {
	t := texts{environment: env.ToMap(environ), origins: map[string]origin{}}
	all := settings()
	for _, s := range all {
		from := fromEnvironment
		if f := flags.Lookup(s.Flag); f != nil && f.Changed {
			t.environment[s.Variable], from = f.Value.String(), fromFlag
		}
		if strings.TrimSpace(t.environment[s.Variable]) == "" {
			delete(t.environment, s.Variable) // empty means unset
			continue
		}
		t.origins[s.Variable] = from
	}
	var err error
	if t.platform, err = detectPlatform(t.environment); err != nil {
		return t, err
	}
	for _, s := range all {
		if t.environment[s.Variable] != "" && t.origins[s.Variable] == "" {
			t.origins[s.Variable] = fromPlatform
		}
	}
	return t, nil
}

// settingValue is a setting in force.
type settingValue struct {
	Variable string `json:"variable"`
	Value    string `json:"value"` // as one would write it; of a secret only that it is set
	Origin   origin `json:"origin"`
	Default  string `json:"default"`
}

// values returns all settings in force.
func (t texts) values() []settingValue {
	var all []settingValue
	for _, s := range settings() {
		v := settingValue{s.Variable, cmp.Or(t.environment[s.Variable], s.Default), cmp.Or(t.origins[s.Variable], fromDefault), s.Default}
		if s.Secret {
			v.Value = secret(v.Value).String()
		}
		v.Value = maskUserInfo(v.Value)
		all = append(all, v)
	}
	return all
}

// userInfo matches the credentials in a URL's authority.
var userInfo = regexp.MustCompile(`://[^/?#]*@`)

// maskUserInfo hides the credentials of URLs in a text. check rejects them, so this is a second line of defence.
func maskUserInfo(s string) string {
	return userInfo.ReplaceAllString(s, "://"+secret("x").String()+"@")
}

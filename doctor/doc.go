// Package doctor checks that the parts of an installation work together: the store, the URLs that clients get, the upstreams, and
// a mirror as its clients see it. Each check sends real requests and returns a Finding, with the consequence and the remedy if
// something is wrong.
//
// Checks only know what their parameters name. Settings, memory and disk are checked by the command doctor, which knows them.
package doctor

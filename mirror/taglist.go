package mirror

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/entrepot-io/entrepot/bounded"
)

// tagList is the upstream's last answer about the tags of a repository, in the upstream's order.
type tagList struct {
	Name string // of the repository at the upstream
	Tags values // strings without escapes; nil if there is no list
	// Passed means that the list is not stored, and that its pages are passed through.
	Passed bool
}

// encode returns the fields of a record.
func (l tagList) encode() ([][]byte, error) {
	if l.Passed {
		return [][]byte{[]byte(`"passed":true`)}, nil
	}
	name, err := marshal(l.Name)
	return [][]byte{[]byte(`"name":`), name, []byte(`,"tags":[`), l.Tags, []byte("]")}, err
}

// decodeTagList decodes a record. The list shares its memory.
func decodeTagList(record bounded.JSON) (l tagList, err error) {
	err = record.Fields(func(name string, value bounded.JSON) (err error) {
		switch name {
		case "name":
			l.Name, _ = value.Text(maxText)
		case "tags":
			l.Tags, err = valuesIn(value)
		case "passed":
			l.Passed = string(value) == "true"
		}
		return err
	})
	if err != nil {
		return l, err
	}
	for _, value := range l.Tags.all() {
		if value[0] != '"' || bytes.IndexByte(value, '\\') >= 0 {
			return l, errors.New("it has an invalid tag")
		}
	}
	if !l.Passed && l.Name == "" && l.Tags == nil {
		return l, errors.New("it has no list")
	}
	return l, nil
}

// tagLists is the kind of subjects that are the tag lists of repositories.
type tagLists struct{ *Mirror }

func newTagLists(m *Mirror) *records[tagList, tagList] {
	return newLists(m, tagLists{m}, "list", decodeTagList, tagList.encode, func(l tagList) int { return len(l.Name) + len(l.Tags) })
}

func (t tagLists) lease(s subject) string { return t.realm.ListLease(s.key) }

func (t tagLists) count(s subject, how string) {
	t.metrics.list(s.repo.Registry(), listOfTags, how)
}

func (t tagLists) ttl(s subject, l tagList) time.Duration {
	if l.Passed {
		return passedLife
	}
	return s.ttl
}

func (t tagLists) cached(_ context.Context, _ subject, l tagList) (tagList, error) { return l, nil }

func (t tagLists) answer(_ context.Context, _ subject, l tagList) (tagList, error) { return l, nil }

func (t tagLists) fetch(ctx context.Context, s subject) (reply[tagList, tagList], error) {
	ctx, cancel := context.WithTimeout(ctx, wholeTimeout)
	defer cancel()
	return t.ask(ctx, s, nil)
}

func (t tagLists) revalidate(ctx context.Context, s subject, known tagList, _ bool) (reply[tagList, tagList], error) {
	ctx, cancel := inTime(ctx)
	defer cancel()
	return t.ask(ctx, s, &known)
}

// ask fetches the whole list. known is the value of its record, nil if there is none.
func (t tagLists) ask(ctx context.Context, s subject, known *tagList) (reply[tagList, tagList], error) {
	all, err := t.upstream(s.repo).AllTags(ctx, s.repo, known != nil)
	l := tagList{Name: all.Name, Tags: all.Tags}
	if passesThrough(t.tagLists, s, known != nil && !known.Passed, err) {
		l, err = tagList{Passed: true}, nil
	}
	if err != nil {
		return reply[tagList, tagList]{}, notWhole(s, err)
	}
	if l.Tags == nil {
		l.Tags = values{}
	}
	return reply[tagList, tagList]{answer: l, value: l}, nil
}

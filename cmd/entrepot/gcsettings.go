package main

import (
	"errors"
	"time"
)

// auto is the value of settings whose default depends on the store.
const auto = "auto"

// autoDuration is a duration, or auto.
type autoDuration struct {
	auto     bool
	duration time.Duration
}

func (a *autoDuration) UnmarshalText(text []byte) error {
	if string(text) == auto {
		*a = autoDuration{auto: true}
		return nil
	}
	d, err := duration(string(text))
	if err == nil && d < 0 {
		err = errors.New("negative; write 0s for never")
	}
	*a = autoDuration{duration: d}
	return err
}

func (a autoDuration) String() string {
	if a.auto {
		return auto
	}
	return a.duration.String()
}

// autoSize is a number of bytes, or auto.
type autoSize struct {
	auto bool
	size byteSize
}

func (a *autoSize) UnmarshalText(text []byte) error {
	if string(text) == auto {
		*a = autoSize{auto: true}
		return nil
	}
	*a = autoSize{}
	return a.size.UnmarshalText(text)
}

func (a autoSize) String() string {
	if a.auto {
		return auto
	}
	return a.size.String()
}

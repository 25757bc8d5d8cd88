package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progressPause is the time between two lines of progress if the output is not a terminal.
const progressPause = 5 * time.Second

// progress shows on standard error what a command is doing: a line that changes on a terminal, otherwise a line now and then.
type progress struct {
	stop func()

	mu   sync.Mutex
	text string
}

// startProgress begins to show progress on w. Call stop before anything else is written to the terminal.
func startProgress(w io.Writer) *progress {
	p := new(progress)
	if file, ok := w.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
		bars := mpb.New(mpb.WithOutput(file), mpb.WithWidth(1))
		bar := bars.New(0, mpb.SpinnerStyle(), mpb.BarRemoveOnComplete(),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + p.current() })))
		p.stop = func() {
			bar.Abort(true)
			bars.Wait()
		}
		return p
	}
	p.stop = repeat(progressPause, func() { fmt.Fprintln(w, p.current()) })
	return p
}

func (p *progress) set(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = text
}

func (p *progress) current() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}

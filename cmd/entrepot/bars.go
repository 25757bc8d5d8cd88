package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// transfers shows the progress of several transfers on standard error: a bar for each and one for all on a terminal,
// otherwise a line for all now and then.
type transfers struct {
	items, done    atomic.Int64
	expected, here atomic.Int64 // bytes

	bars  *mpb.Progress // nil: not a terminal
	total *mpb.Bar
	stop  func()
}

// startTransfers begins to show n transfers on w. Call stop at their end.
func startTransfers(w io.Writer, n int) *transfers {
	t := new(transfers)
	t.items.Store(int64(n))
	if file, ok := w.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
		t.bars = mpb.New(mpb.WithOutput(file), mpb.WithWidth(80), mpb.WithAutoRefresh())
		t.total = t.add("total", mpb.BarPriority(n+1))
		t.stop = func() {
			t.total.Abort(false)
			t.bars.Wait()
		}
		return t
	}
	began := time.Now()
	t.stop = repeat(progressPause, func() {
		seconds := time.Since(began).Seconds()
		fmt.Fprintf(w, "%d of %d images, %v of %v, %v/s\n", t.done.Load(), t.items.Load(),
			byteSize(t.here.Load()), byteSize(t.expected.Load()), byteSize(float64(t.here.Load())/seconds))
	})
	return t
}

// repeat calls do at intervals until the returned function is called, which waits for the last call.
func repeat(interval time.Duration, do func()) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				do()
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}

func (t *transfers) add(name string, options ...mpb.BarOption) *mpb.Bar {
	return t.bars.New(0, mpb.BarStyle(), append(options,
		mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.AverageSpeed(decor.SizeB1024(0), " % .1f"), decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 8})),
	)...)
}

// transfer is the progress of one of them. It implements warm.Progress.
type transfer struct {
	all      *transfers
	bar      *mpb.Bar // nil: not a terminal
	expected atomic.Int64
}

// begin shows another transfer.
func (t *transfers) begin(name string) *transfer {
	item := &transfer{all: t}
	if t.bars != nil {
		item.bar = t.add(name)
	}
	return item
}

func (i *transfer) Expect(bytes int64) {
	all, own := i.all.expected.Add(bytes), i.expected.Add(bytes)
	if i.bar != nil {
		i.bar.SetTotal(own, false)
		i.all.total.SetTotal(all, false)
	}
}

func (i *transfer) Advance(bytes int64) {
	i.all.here.Add(bytes)
	if i.bar != nil {
		i.bar.IncrInt64(bytes)
		i.all.total.IncrInt64(bytes)
	}
}

// end marks the transfer as ended.
func (i *transfer) end(failed bool) {
	i.all.done.Add(1)
	switch {
	case i.bar == nil:
	case failed:
		i.bar.Abort(false)
	default:
		i.bar.SetTotal(-1, true)
	}
}

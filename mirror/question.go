package mirror

import (
	"context"
	"sync"
	"time"
)

// questions are the running questions to upstreams, at most one for each key. Callers with the same key join the running one. A
// question continues if its callers stop waiting.
type questions[A any] struct {
	closing context.Context
	close   context.CancelFunc
	asking  sync.WaitGroup

	mu   sync.Mutex
	open map[string]*question[A]
}

// question is one question to an upstream. Read answer and err only after answered is closed.
type question[A any] struct {
	began    time.Time
	answered chan struct{}
	answer   A
	err      error
}

func newQuestions[A any]() *questions[A] {
	closing, cancel := context.WithCancel(context.Background())
	return &questions[A]{closing: closing, close: cancel, open: map[string]*question[A]{}}
}

// ask returns the running question for a key, or starts one. do answers it within most.
func (q *questions[A]) ask(ctx context.Context, key string, most time.Duration, do func(context.Context) (A, error)) *question[A] {
	q.mu.Lock()
	defer q.mu.Unlock()
	if running, ok := q.open[key]; ok {
		return running
	}
	begun := &question[A]{began: time.Now(), answered: make(chan struct{})}
	q.open[key] = begun
	q.asking.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
		defer cancel()
		defer context.AfterFunc(q.closing, cancel)()
		begun.answer, begun.err = do(ctx)
		q.mu.Lock()
		delete(q.open, key)
		q.mu.Unlock()
		close(begun.answered)
	})
	return begun
}

// end cancels all questions and waits for them.
func (q *questions[A]) end() {
	q.close()
	q.asking.Wait()
}

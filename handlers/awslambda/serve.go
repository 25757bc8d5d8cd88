package awslambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/entrepot-io/entrepot/handlers"
)

// Config says what is served.
type Config struct {
	Handler http.Handler
	// HandOver brings to an end what the handler has begun. It is called before each response is sent: after it the process
	// may be frozen, at the end of the context or before. Nil: the process goes on between requests.
	HandOver func(context.Context) error
	// Streaming: Function URLs have invoke mode RESPONSE_STREAM. An event does not tell, and with the other mode's form of
	// response clients get that form as it is.
	Streaming bool
	Log       *slog.Logger
}

const (
	// answerWithin is how long a handler has for its answer: with what is handed over after it a response is sent within
	// 20 s, since some clients give up at 30 s.
	answerWithin = 17 * time.Second
	// reserve is what is kept of the function's time, or a third of it where that is less, to hand over and to respond.
	reserve = 4 * time.Second
	// handingOver is how long handing over may take, and lastMoment what is left after it of the function's time.
	handingOver = 7 * time.Second
	lastMoment  = 500 * time.Millisecond
	// shortTimeout is a function's that leaves less than answerWithin.
	shortTimeout = answerWithin + reserve
)

// Serve takes events from Lambda's runtime API, whose address is in AWS_LAMBDA_RUNTIME_API, one at a time. It does not
// return.
func Serve(cfg Config) {
	s := &server{Config: cfg}
	lambda.StartWithOptions(s.invoke)
}

type server struct {
	Config
	warned sync.Once
}

// invoke answers one event. An error makes the invocation one that has failed.
func (s *server) invoke(ctx context.Context, payload json.RawMessage) (any, error) {
	began := time.Now()
	event, shape, err := parse(payload, s.Streaming)
	if err != nil {
		return nil, err
	}
	if shape.isScheduled() {
		// Not a failure: it would be sent twice more.
		s.Log.Warn("scheduled event ignored: there is nothing to do on a schedule", "detail-type", shape.DetailType)
		return map[string]string{"message": "entrepot does nothing on a schedule; remove the rule"}, nil
	}
	described, err := event.request()
	if err != nil {
		return nil, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errors.New("the invocation has no deadline")
	}
	left := deadline.Sub(began)
	if left < shortTimeout {
		s.warned.Do(func() {
			s.Log.Warn("the function's timeout is short: with 30 s or more a cold layer takes fewer redirects", "left", left.Round(time.Millisecond))
		})
	}
	answer := s.answer(ctx, event, described, began.Add(min(answerWithin, left-min(reserve, left/3))))
	s.handOver(ctx, deadline.Add(-min(lastMoment, left/20)))
	return event.response(answer), nil
}

// answer has the request answered before a time.
func (s *server) answer(ctx context.Context, event front, described httpRequest, before time.Time) httpResponse {
	ctx, cancel := context.WithDeadline(ctx, before)
	defer cancel()
	limit := maxBody(event)
	r, err := described.build(handlers.LimitBody(ctx, limit))
	if err != nil {
		return problem(http.StatusBadRequest, described.method, err.Error())
	}
	w := &writer{header: http.Header{}, limit: limit}
	if broken := serve(s.Handler, w, r); broken || w.err != nil {
		s.Log.Error("answer not sent", "path", r.URL.Path, "bytes", w.body.Len(), "error", w.err)
		reason := "the answer broke off"
		if w.err != nil {
			reason = fmt.Sprintf("%v: %d bytes", w.err, limit)
		}
		return problem(http.StatusInternalServerError, r.Method, reason)
	}
	return w.answer(r.Method)
}

// serve tells whether the handler broke its answer off.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (broken bool) {
	defer func() {
		switch err := recover(); {
		case err == http.ErrAbortHandler:
			broken = true
		case err != nil:
			panic(err)
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

// problem is an error in the form that the distribution spec has for it.
func problem(status int, method, message string) httpResponse {
	var body []byte
	if method != http.MethodHead {
		text, _ := json.Marshal(message) // of a string
		body = fmt.Appendf(nil, `{"errors":[{"code":"UNAVAILABLE","message":%s}]}`, text)
	}
	return httpResponse{method, status, http.Header{"Content-Type": {"application/json"}}, body}
}

// handOver leaves nothing to do for a process that is frozen.
func (s *server) handOver(ctx context.Context, deadline time.Time) {
	if s.HandOver == nil {
		return
	}
	if most := time.Now().Add(handingOver); most.Before(deadline) {
		deadline = most
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := s.HandOver(ctx); err != nil {
		s.Log.Warn("not all was handed over in time", "error", err)
	}
}

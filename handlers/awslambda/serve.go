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

// Config configures Serve.
type Config struct {
	Handler http.Handler
	// HandOver ends or hands over the work that the handler has started. Serve calls it before it sends each response: the
	// process may freeze after that, at the end of the context or earlier. Nil if the process keeps running between
	// requests.
	HandOver func(context.Context) error
	// Command runs a command of the operator, the content of an event {"command":NAME}, until the context ends, and returns
	// its result. Such an event comes from a schedule or a caller whom IAM permits it. Nil: there are no commands.
	Command func(ctx context.Context, name string) (any, error)
	// Streaming says that Function URLs have invoke mode RESPONSE_STREAM. Events do not show the mode, and a result in the
	// other mode's format reaches the client unconverted.
	Streaming bool
	Log       *slog.Logger
}

const (
	// handlerTimeout bounds the handler: the response is sent within 20 s including the handover, since some clients give
	// up after 30 s.
	handlerTimeout = 17 * time.Second
	// reserve is the part of the function's timeout kept for the handover and the response, or a third of the timeout if
	// that is less.
	reserve = 4 * time.Second
	// handOverTimeout bounds the handover.
	handOverTimeout = 7 * time.Second
	// sendReserve is the part of the function's timeout kept for sending the response after the handover, or a twentieth of
	// the timeout if that is less.
	sendReserve = 500 * time.Millisecond
	// shortTimeout is the function timeout below which the handler gets less than handlerTimeout.
	shortTimeout = handlerTimeout + reserve
)

// Serve takes events from Lambda's runtime API, whose address is in AWS_LAMBDA_RUNTIME_API, and answers them one by one.
// It does not return.
func Serve(cfg Config) {
	s := &server{Config: cfg}
	lambda.StartWithOptions(s.invoke)
}

var errNoDeadline = errors.New("the invocation has no deadline")

type server struct {
	Config
	warned sync.Once // of a short timeout
}

// invoke answers one event. An error fails the invocation.
func (s *server) invoke(ctx context.Context, payload json.RawMessage) (any, error) {
	began := time.Now()
	event, shape, err := parse(payload, s.Streaming)
	if err != nil {
		return nil, err
	}
	if event == nil && shape.Command != "" && s.Command != nil {
		return s.run(ctx, shape.Command)
	}
	if event == nil {
		// Lambda would retry a failed invocation twice.
		s.Log.Warn("scheduled event ignored", "detail-type", shape.DetailType)
		return map[string]string{"message": "entrepot does nothing on a schedule; remove the rule"}, nil
	}
	request := event.request()
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errNoDeadline
	}
	left := deadline.Sub(began)
	if left < shortTimeout {
		s.warned.Do(func() {
			s.Log.Warn("function timeout short", "left", left.Round(time.Millisecond), "remedy", "set it to 30 s or more: cold layers then take fewer redirects")
		})
	}
	response := s.handle(ctx, event, request, began.Add(min(handlerTimeout, left-min(reserve, left/3))))
	s.handOver(ctx, deadline.Add(-min(sendReserve, left/20)))
	return event.response(response), nil
}

// run runs a command and leaves time for the handover.
func (s *server) run(ctx context.Context, command string) (any, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errNoDeadline
	}
	left := time.Until(deadline)
	running, cancel := context.WithDeadline(ctx, deadline.Add(-min(reserve, left/3)))
	defer cancel()
	result, err := s.Command(running, command)
	s.handOver(ctx, deadline.Add(-min(sendReserve, left/20)))
	return result, err
}

// handle runs the handler until the deadline at most.
func (s *server) handle(ctx context.Context, event httpEvent, request httpRequest, deadline time.Time) httpResponse {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	limit := maxBody(event)
	r, err := request.build(handlers.LimitBody(ctx, limit))
	if err != nil {
		return problem(http.StatusBadRequest, request.method, err.Error())
	}
	w := &writer{header: http.Header{}, limit: limit}
	if aborted := serve(s.Handler, w, r); aborted || w.err != nil {
		s.Log.Error("response not sent", "path", r.URL.Path, "bytes", w.body.Len(), "error", w.err)
		reason := "the answer was aborted"
		if w.err != nil {
			reason = fmt.Sprintf("%v: %d bytes", w.err, limit)
		}
		return problem(http.StatusInternalServerError, r.Method, reason)
	}
	return w.response(r.Method)
}

// serve runs the handler and reports whether it aborted the response.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer func() {
		switch err := recover(); {
		case err == http.ErrAbortHandler:
			aborted = true
		case err != nil:
			panic(err)
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

// problem returns an error response in the distribution spec's format.
func problem(status int, method, message string) httpResponse {
	var body []byte
	if method != http.MethodHead {
		text, _ := json.Marshal(message) // never fails for a string
		body = fmt.Appendf(nil, `{"errors":[{"code":"UNAVAILABLE","message":%s}]}`, text)
	}
	return httpResponse{method, status, http.Header{"Content-Type": {"application/json"}}, body}
}

// handOver calls HandOver, bounded by the deadline and handOverTimeout, so that no work is left when the process freezes.
func (s *server) handOver(ctx context.Context, deadline time.Time) {
	if s.HandOver == nil {
		return
	}
	if limit := time.Now().Add(handOverTimeout); limit.Before(deadline) {
		deadline = limit
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := s.HandOver(ctx); err != nil {
		s.Log.Warn("handover incomplete", "error", err)
	}
}

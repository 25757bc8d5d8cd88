package lambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// maxPayload is AWS Lambda's limit for a buffered response, in bytes.
const maxPayload = 6291556

// An environment is one process and the runtime API that serves it. It runs one invocation at a time.
type environment struct {
	function *Function
	process  *testenv.Process
	api      *httptest.Server
	next     chan *invocation
	ready    chan struct{} // closed when the process first requests an invocation

	mu      sync.Mutex
	asked   bool
	current *invocation
	failed  string // the error posted to init/error
}

// An invocation is one event for an environment to process.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	answered chan outcome
	over     chan struct{} // closed when the process requests the next invocation
}

type outcome struct {
	response *Response
	err      error
}

// A Response is a function's response: JSON if buffered, a prelude and a body if streamed.
type Response struct {
	JSON    []byte
	Prelude *prelude
	Body    io.Reader // streamed responses only
}

func (f *Function) startEnvironment() *environment {
	e := &environment{function: f, next: make(chan *invocation), ready: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", e.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", e.serveResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", e.serveError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", e.serveInitError)
	e.api = httptest.NewUnstartedServer(mux)
	listener, err := net.Listen("tcp", testenv.FreeAddr(f.t, "127.0.0.1"))
	if err != nil {
		f.t.Error(err)
		return e
	}
	e.api.Listener.Close()
	e.api.Listener = listener
	e.api.Start()
	e.process = testenv.Start(f.t, "bootstrap", append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + e.api.Listener.Addr().String(),
		"AWS_LAMBDA_FUNCTION_NAME=mirror",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512",
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"LAMBDA_TASK_ROOT=/var/task",
		"_HANDLER=bootstrap",
	}, f.Env...), f.Bootstrap)
	testenv.FailOnCrash(f.t, e.process)
	f.t.Cleanup(func() {
		e.end()
		e.api.CloseClientConnections()
		e.api.Close()
	})
	return e
}

func (e *environment) exited() <-chan struct{} { return e.process.Exited() }

// end kills the process, as AWS Lambda does.
func (e *environment) end() { e.process.Kill() }

func (e *environment) freeze() { e.signal(syscall.SIGSTOP) }
func (e *environment) thaw()   { e.signal(syscall.SIGCONT) }

func (e *environment) signal(s syscall.Signal) {
	select {
	case <-e.exited(): // the system may have reused its pid
	default:
		_ = syscall.Kill(-e.process.Cmd.Process.Pid, s)
	}
}

func (e *environment) initError() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed
}

// serveNext ends the current invocation and waits for the next.
func (e *environment) serveNext(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	if e.current != nil {
		close(e.current.over)
		e.current = nil
	}
	if !e.asked {
		e.asked = true
		close(e.ready)
	}
	e.mu.Unlock()
	select {
	case <-r.Context().Done():
	case i := <-e.next:
		e.mu.Lock()
		e.current = i
		e.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", i.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:123456789012:function:mirror")
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1")
		_, _ = w.Write(i.payload) // Invoke notices if the process has died
	}
}

// invocation returns the invocation that the request names. It refuses the request and returns nil unless that is the
// current one.
func (e *environment) invocation(w http.ResponseWriter, r *http.Request) *invocation {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil || e.current.id != r.PathValue("id") {
		refuse(w, http.StatusBadRequest, "InvalidRequestID")
		return nil
	}
	return e.current
}

func refuse(w http.ResponseWriter, status int, kind string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errorMessage":%q,"errorType":%q}`, kind, kind)
}

func accept(w http.ResponseWriter) {
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprint(w, `{"status":"OK"}`)
}

// integrationType is the content type of a streamed response. Other runtimes also set a header, aws-lambda-go does not.
const integrationType = "application/vnd.awslambda.http-integration-response"

func (e *environment) serveResponse(w http.ResponseWriter, r *http.Request) {
	i := e.invocation(w, r)
	if i == nil {
		return
	}
	if r.Header.Get("Content-Type") == integrationType || r.Header.Get("Lambda-Runtime-Function-Response-Mode") == "streaming" {
		e.serveStream(w, r, i)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	switch {
	case err != nil:
		i.answer(outcome{err: err})
	case len(body) > maxPayload:
		i.answer(outcome{err: fmt.Errorf("exceeded maximum allowed payload size (%d bytes)", maxPayload)})
		refuse(w, http.StatusRequestEntityTooLarge, "Function.ResponseSizeTooLarge")
	case trailerError(r) != nil:
		i.answer(outcome{err: trailerError(r)})
		accept(w)
	default:
		i.answer(outcome{response: &Response{JSON: body}})
		accept(w)
	}
}

func (e *environment) serveStream(w http.ResponseWriter, r *http.Request, i *invocation) {
	p, body, err := cutPrelude(r.Body)
	if err != nil {
		i.answer(outcome{err: err})
		refuse(w, http.StatusBadRequest, "Runtime.InvalidResponse")
		return
	}
	read, write := io.Pipe()
	i.answer(outcome{response: &Response{Prelude: p, Body: read}})
	_, err = io.Copy(write, body)
	if err == nil {
		err = trailerError(r)
	}
	write.CloseWithError(err)
	accept(w)
}

// trailerError returns the error in the trailer of an aborted response, or nil.
func trailerError(r *http.Request) error {
	kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type")
	if kind == "" {
		return nil
	}
	text, _ := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
	return &FunctionError{kind, string(text)}
}

func (e *environment) serveError(w http.ResponseWriter, r *http.Request) {
	i := e.invocation(w, r)
	if i == nil {
		return
	}
	var reported struct{ ErrorType, ErrorMessage string }
	if err := json.NewDecoder(r.Body).Decode(&reported); err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest")
		return
	}
	i.answer(outcome{err: &FunctionError{reported.ErrorType, reported.ErrorMessage}})
	accept(w)
}

func (e *environment) serveInitError(w http.ResponseWriter, r *http.Request) {
	var reported struct{ ErrorType, ErrorMessage string }
	_ = json.NewDecoder(r.Body).Decode(&reported) // report an unreadable error as empty
	e.mu.Lock()
	e.failed = reported.ErrorType + ": " + reported.ErrorMessage
	e.mu.Unlock()
	accept(w)
}

// answer sets the invocation's outcome. Only the first call has an effect.
func (i *invocation) answer(o outcome) {
	select {
	case i.answered <- o:
	default:
	}
}

// A prelude is the JSON at the start of a streamed response.
type prelude struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Cookies    []string          `json:"cookies"`
}

// cutPrelude splits a streamed response into its prelude, which eight zero bytes end, and its body.
func cutPrelude(r io.Reader) (*prelude, io.Reader, error) {
	var text []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(text), strings.Repeat("\x00", 8)); {
		if _, err := io.ReadFull(r, one); err != nil {
			return nil, nil, fmt.Errorf("read prelude of response: %w", err)
		}
		if text = append(text, one[0]); len(text) > 64<<10 {
			return nil, nil, errors.New("prelude of response has no end in its first 64 KiB")
		}
	}
	p := new(prelude)
	if err := json.Unmarshal(text[:len(text)-8], p); err != nil {
		return nil, nil, fmt.Errorf("parse prelude of response: %w", err)
	}
	return p, r, nil
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/handlers"
	"github.com/entrepot-io/entrepot/handlers/awslambda"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/gc"
)

// runtimeAPI is the variable with the address from which a Lambda function fetches its events.
const runtimeAPI = "AWS_LAMBDA_RUNTIME_API"

// defaultForFunction gives unset settings defaults that suit a Lambda function.
func defaultForFunction(environment map[string]string) {
	setDefault(environment, prefix+"MISS", string(handlers.MissRedirect))
	// Fills and manifests leave most of a small function's memory, given in MiB, to everything else.
	if memory, err := strconv.Atoi(environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]); err == nil && memory < 1024 {
		setDefault(environment, prefix+"FILL_MEMORY", strconv.Itoa(max(memory/4, 32))+"MiB")
		setDefault(environment, prefix+"MANIFEST_CACHE", strconv.Itoa(max(memory/16, 4))+"MiB")
	}
}

// checkFunction rejects settings that cannot work on Lambda.
func (c config) checkFunction() error {
	switch {
	case !c.platform.function:
		return nil
	case c.Store.isFolder():
		return wrong("ENTREPOT_STORE", "%q: Lambda has no persistent folder; name a bucket, for example s3://my-bucket", c.Store)
	case c.Miss != handlers.MissRedirect:
		return wrong("ENTREPOT_MISS", "%q: a Lambda function cannot stream blobs; write redirect, or leave it unset", c.Miss)
	}
	return nil
}

// serveLambda answers events until ctx ends. Lambda sends SIGTERM only to a function with an extension, when it shuts the
// environment down; it kills other functions, which have no work left then.
func serveLambda(ctx context.Context, cfg config, api http.Handler, store backend.Store, core *mirror.Mirror, log *slog.Logger) error {
	collection, err := cfg.collection(store, core)
	if err != nil {
		return err
	}
	function := awslambda.Config{Handler: api, Streaming: cfg.LambdaStreaming, Log: log}
	function.Command = func(ctx context.Context, name string) (any, error) {
		if name != "gc" {
			return nil, fmt.Errorf("%q is not a command for events; write gc", name)
		}
		return gc.Run(ctx, collection)
	}
	if cfg.platform.freezes {
		function.HandOver = core.HandOver
	}
	if cfg.AdminListen != "" {
		log.Warn("setting has no effect on Lambda", "variable", "ENTREPOT_ADMIN_LISTEN")
	}
	go awslambda.Serve(function)
	<-ctx.Done()
	return nil
}

// reportInitError reports to Lambda why the program cannot start. Lambda passes the error to the function's caller.
func reportInitError(err error) {
	address := os.Getenv(runtimeAPI)
	if address == "" {
		return
	}
	text, _ := json.Marshal(map[string]string{"errorMessage": err.Error(), "errorType": "Entrepot.Start"}) // never fails for strings
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+address+"/2018-06-01/runtime/init/error", bytes.NewReader(text))
	if err != nil {
		return // the error is on standard error already
	}
	req.Header.Set("Lambda-Runtime-Function-Error-Type", "Entrepot.Start")
	client := http.Client{Transport: &http.Transport{}, Timeout: 2 * time.Second} // without a proxy
	if resp, err := client.Do(req); err == nil {
		resp.Body.Close()
	}
}

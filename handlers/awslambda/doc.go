// Package awslambda serves an http.Handler as a function on AWS Lambda: behind a Function URL, an HTTP or REST API of API
// Gateway, or an Application Load Balancer.
//
// The package converts events to requests and responses to event results, limits the size of responses, and hands work
// over before the process freezes. The handler decides what to respond. aws-lambda-go implements the protocol between a
// function and the Lambda service.
package awslambda

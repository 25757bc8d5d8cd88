package main_test

import (
	"maps"
	"net/http"
)

// Operations of S3's API.
const (
	getObject      = "GetObject"
	headObject     = "HeadObject"
	listObjects    = "ListObjectsV2"
	putObject      = "PutObject"
	createUpload   = "CreateMultipartUpload"
	uploadPartCopy = "UploadPartCopy"
	completeUpload = "CompleteMultipartUpload"
	abortUpload    = "AbortMultipartUpload"
	listUploads    = "ListMultipartUploads"
	deleteObject   = "DeleteObject"
)

// requests counts requests by operation. It has no zero counts.
type requests map[string]int

// plus returns r plus n times more.
func (r requests) plus(n int, more requests) requests {
	sum := maps.Clone(r)
	for operation, count := range more {
		sum[operation] += n * count
		if sum[operation] == 0 {
			delete(sum, operation)
		}
	}
	return sum
}

func (r requests) of(operations ...string) (n int) {
	for _, operation := range operations {
		n += r[operation]
	}
	return n
}

// operationOf returns the operation of a request, or the method and query of an unexpected one.
func operationOf(r *http.Request) string {
	query := r.URL.Query()
	query.Del("x-id") // aws-sdk-go-v2 adds the operation's name
	for operation, is := range map[string]bool{
		getObject:      r.Method == http.MethodGet && (len(query) == 0 || query.Has("X-Amz-Signature")),
		headObject:     r.Method == http.MethodHead && len(query) == 0,
		listObjects:    r.Method == http.MethodGet && query.Get("list-type") == "2",
		putObject:      r.Method == http.MethodPut && len(query) == 0,
		createUpload:   r.Method == http.MethodPost && query.Has("uploads"),
		uploadPartCopy: r.Method == http.MethodPut && query.Has("uploadId") && r.Header.Get("X-Amz-Copy-Source") != "",
		completeUpload: r.Method == http.MethodPost && query.Has("uploadId"),
		abortUpload:    r.Method == http.MethodDelete && query.Has("uploadId"),
		listUploads:    r.Method == http.MethodGet && query.Has("uploads"),
		deleteObject:   r.Method == http.MethodDelete && len(query) == 0,
	} {
		if is {
			return operation
		}
	}
	return r.Method + " ?" + r.URL.RawQuery
}

// Package s3rules contains what an S3 client needs apart from an SDK: how responses and errors translate to package
// backend, retries, bodies without buffering, multipart uploads, and presigned URLs. The stores backend/s3 and
// backend/minio make the requests.
package s3rules

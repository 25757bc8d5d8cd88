package s3rules_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

var known = []error{
	backend.ErrNotFound, backend.ErrPrecondition, backend.ErrChecksum, backend.ErrRange, backend.ErrNoBucket, backend.ErrDenied,
}

func TestFailuresAsContractErrors(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   error
	}{
		{404, "NoSuchKey", backend.ErrNotFound},
		{404, "NotFound", backend.ErrNotFound}, // by aws-sdk-go-v2 for a response to HEAD
		{404, "NoSuchBucket", backend.ErrNoBucket},
		{404, "NoSuchUpload", nil}, // about the upload
		{404, "XAdminUserNotFound", backend.ErrDenied},
		{412, "PreconditionFailed", backend.ErrPrecondition},
		{409, "ConditionalRequestConflict", backend.ErrPrecondition},
		{409, "OperationAborted", nil},
		{400, "XAmzContentSHA256Mismatch", backend.ErrChecksum},
		{400, "BadDigest", backend.ErrChecksum},
		{400, "ExpiredToken", backend.ErrDenied},
		{400, "MalformedXML", nil},
		{401, "", backend.ErrDenied},
		{403, "AccessDenied", backend.ErrDenied},
		{403, "InvalidAccessKeyId", backend.ErrDenied},
		{403, "SignatureDoesNotMatch", backend.ErrDenied},
		{403, "", backend.ErrDenied},
		{416, "InvalidRange", backend.ErrRange},
		{500, "InternalError", nil},
		{503, "SlowDown", nil},
		{0, "", nil}, // no response
	} {
		cause := errors.New("cause")
		err := s3rules.Failure{Status: c.status, Code: c.code}.Wrap("get", "a/b", cause)
		require.ErrorIs(t, err, cause)
		require.ErrorContains(t, err, "get a/b: ")
		for _, k := range known {
			require.Equal(t, k == c.want, errors.Is(err, k), "%d %s: %v", c.status, c.code, err)
		}
	}
}

func TestIfMatchOfMissingObjectIsErrPrecondition(t *testing.T) {
	gone := s3rules.Failure{Status: 404, Code: "NoSuchKey"}
	err := gone.WrapWrite("put", "a", backend.Condition{IfMatch: "x"}, errors.New("cause"))
	require.ErrorIs(t, err, backend.ErrPrecondition)
	require.NotErrorIs(t, err, backend.ErrNotFound)
	missing := s3rules.Failure{Status: 404, Code: "NoSuchBucket"}
	require.ErrorIs(t, missing.WrapWrite("put", "a", backend.Condition{IfMatch: "x"}, errors.New("cause")), backend.ErrNoBucket)
}

func TestRefusedConditionIsErrUnable(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   bool
	}{
		{501, "NotImplemented", true},
		{400, "InvalidArgument", true},
		{400, "InvalidRequest", true},
		{405, "MethodNotAllowed", true},
		{411, "MissingContentLength", true},
		{400, "RequestTimeout", false},
		{400, "IncompleteBody", false},
		{400, "XAmzContentSHA256Mismatch", false},
		{400, "ExpiredToken", false},
		{403, "AccessDenied", false},
		{404, "NoSuchKey", false},
		{409, "ConditionalRequestConflict", false},
		{409, "OperationAborted", false},
		{412, "PreconditionFailed", false},
		{429, "TooManyRequests", false},
		{500, "InternalError", false},
		{503, "SlowDown", false},
		{0, "", false},
	} {
		failure := s3rules.Failure{Status: c.status, Code: c.code}
		for _, condition := range []backend.Condition{{IfAbsent: true}, {IfMatch: `"x"`}} {
			err := failure.WrapWrite("put", "a", condition, errors.New("cause"))
			require.Equal(t, c.want, errors.Is(err, backend.ErrUnable), "%d %s: %v", c.status, c.code, err)
		}
		require.NotErrorIs(t, failure.WrapWrite("put", "a", backend.Condition{}, errors.New("cause")), backend.ErrUnable)
	}
}

func TestConflict(t *testing.T) {
	conflict := s3rules.Failure{Status: 409, Code: "ConditionalRequestConflict"}
	err := conflict.WrapWrite("put", "a", backend.Condition{IfAbsent: true}, errors.New("cause"))
	require.ErrorIs(t, err, backend.ErrConflict)
	require.ErrorIs(t, err, backend.ErrPrecondition)
	refused := s3rules.Failure{Status: 412, Code: "PreconditionFailed"}
	require.NotErrorIs(t, refused.WrapWrite("put", "a", backend.Condition{IfAbsent: true}, errors.New("cause")), backend.ErrConflict)
}

func TestUnsupportedCopyIsErrUnable(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   bool
	}{
		{501, "NotImplemented", true},
		{405, "MethodNotAllowed", true},
		{400, "InvalidArgument", true},
		{409, "InvalidRequest", true},
		{411, "MissingContentLength", true}, // gofakes3
		{413, "EntityTooLarge", true},
		{415, "", true},
		{422, "UnprocessableContent", true},
		{200, "NotImplemented", true},
		{400, "SlowDown", false},
		{400, "XMinioAdminBucketQuotaExceeded", false},
		{401, "", false},
		{403, "RequestTimeTooSkewed", false},
		{404, "NoSuchUpload", false},
		{408, "RequestTimeout", false},
		{409, "OperationAborted", false},
		{429, "", false},
		{451, "", false},
		{500, "InternalError", false},
		{507, "InsufficientStorage", false},
		{400, "ExpiredToken", false},
		{400, "RequestTimeout", false},
		{403, "AccessDenied", false},
		{404, "NoSuchKey", false},
		{412, "PreconditionFailed", false},
		{503, "SlowDown", false},
		{200, "InternalError", false}, // S3 may fail after the header
		{0, "", false},
	} {
		cause := errors.New("cause")
		err := s3rules.Failure{Status: c.status, Code: c.code}.WrapCopy("a/b", cause)
		require.ErrorIs(t, err, cause)
		require.ErrorContains(t, err, "copy a/b: ")
		require.Equal(t, c.want, errors.Is(err, backend.ErrUnable), "%d %s: %v", c.status, c.code, err)
	}
}

func TestErrFullAndErrReadOnly(t *testing.T) {
	for _, c := range []struct {
		op            string
		status        int
		code, message string
		want          error
	}{
		{"put", 507, "XMinioStorageFull", "", backend.ErrFull},
		{"put", 507, "EntityTooLarge", "bucket quota exceeded", backend.ErrFull},
		{"upload", 507, "InsufficientStorage", "", backend.ErrFull}, // versitygw: ENOSPC
		{"put", 403, "QuotaExceeded", "", backend.ErrFull},          // Ceph, versitygw: EDQUOT
		{"put", 400, "XMinioAdminBucketQuotaExceeded", "", backend.ErrFull},
		{"complete", 507, "InsufficientCapacity", "", backend.ErrFull}, // S3 on FSx
		{"put", 507, "", "", backend.ErrFull},
		{"put", 403, "AccessDenied", "Cannot upload files, storage cap exceeded.", backend.ErrFull}, // Backblaze B2
		{"put", 500, "InternalError", "write /data/x: no space left on device", backend.ErrFull},
		{"put", 405, "MethodNotAllowed", "", backend.ErrReadOnly}, // versitygw: EROFS
		{"delete", 405, "MethodNotAllowed", "", backend.ErrReadOnly},
		{"begin upload of", 403, "AllAccessDisabled", "", backend.ErrReadOnly},
		{"put", 451, "", "", backend.ErrReadOnly},
		{"put", 423, "Locked", "", backend.ErrReadOnly},
		{"put", 403, "BucketReadOnly", "", backend.ErrReadOnly},
		{"get", 403, "AllAccessDisabled", "", backend.ErrDenied},
		{"get", 405, "MethodNotAllowed", "", nil}, // delete marker
		{"put", 403, "AccessDenied", "", backend.ErrDenied},
		{"put", 413, "EntityTooLarge", "", nil},
		{"put", 429, "RequestLimitExceeded", "", nil},
		{"put", 503, "XMinioServerNotInitialized", "", nil},
	} {
		var denials s3rules.Denials
		err := s3rules.Failure{Status: c.status, Code: c.code, Message: c.message, Denials: &denials}.Wrap(c.op, "a", errors.New("cause"))
		for _, k := range append(known, backend.ErrFull, backend.ErrReadOnly) {
			require.Equal(t, k == c.want, errors.Is(err, k), "%s: %d %s: %v", c.op, c.status, c.code, err)
		}
		_, denied := denials.LastDenied()
		require.Equal(t, c.code == "AccessDenied" && c.want == backend.ErrDenied, denied != nil)
	}
}

func TestPermissionError(t *testing.T) {
	const user = "User: arn:aws:sts::123456789012:assumed-role/mirror/i-0 is not authorized to perform: "
	for name, c := range map[string]struct {
		failure s3rules.Failure
		op      string
		want    *backend.PermissionError
	}{
		"write": {s3rules.Failure{Status: 403, Code: "AccessDenied", Message: "Access Denied"}, "put",
			&backend.PermissionError{Action: "s3:PutObject", Resource: "arn:aws:s3:::images/pre/a/b"}},
		"read, of a possibly missing object": {s3rules.Failure{Status: 403, Code: "AccessDenied"}, "get",
			&backend.PermissionError{Action: "s3:GetObject", Resource: "arn:aws:s3:::images/pre/a/b", Instead: "s3:ListBucket"}},
		"HEAD, whose response has no body": {s3rules.Failure{Status: 403, Code: "Forbidden"}, "stat",
			&backend.PermissionError{Action: "s3:GetObject", Resource: "arn:aws:s3:::images/pre/a/b", Instead: "s3:ListBucket"}},
		"listing, of the bucket": {s3rules.Failure{Status: 403, Code: "AccessDenied"}, "list",
			&backend.PermissionError{Action: "s3:ListBucket", Resource: "arn:aws:s3:::images"}},
		"AWS names the permission": {s3rules.Failure{Status: 403, Code: "AccessDenied",
			Message: user + `s3:ListBucket on resource: "arn:aws:s3:::images" because no identity-based policy allows the s3:ListBucket action`}, "get",
			&backend.PermissionError{Action: "s3:ListBucket", Resource: "arn:aws:s3:::images"}},
		"AWS names a KMS key": {s3rules.Failure{Status: 403, Code: "AccessDenied",
			Message: user + "kms:GenerateDataKey on resource: arn:aws:kms:eu-central-1:123456789012:key/k because no identity-based policy allows it"}, "put",
			&backend.PermissionError{Action: "kms:GenerateDataKey", Resource: "arn:aws:kms:eu-central-1:123456789012:key/k"}},
		"wrong credentials":   {s3rules.Failure{Status: 403, Code: "SignatureDoesNotMatch"}, "put", nil},
		"expired credentials": {s3rules.Failure{Status: 400, Code: "ExpiredToken"}, "put", nil},
		"no refusal":          {s3rules.Failure{Status: 404, Code: "NoSuchKey"}, "get", nil},
	} {
		var denials s3rules.Denials
		c.failure.Bucket, c.failure.Prefix, c.failure.Denials = "images", "pre/", &denials
		err := c.failure.Wrap(c.op, "a/b", errors.New("cause"))
		got, _ := errors.AsType[*backend.PermissionError](err)
		require.Equal(t, c.want, got, name)
		_, last := denials.LastDenied()
		require.Equal(t, c.want != nil, last != nil, name)
		if c.want != nil {
			require.ErrorIs(t, err, backend.ErrDenied, name)
		}
	}
}

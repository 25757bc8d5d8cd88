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

func TestRefusalsReadAsTheErrorsOfTheContract(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   error
	}{
		{404, "NoSuchKey", backend.ErrNotFound},
		{404, "NotFound", backend.ErrNotFound}, // aws-sdk-go-v2's name for an answer to HEAD
		{404, "NoSuchBucket", backend.ErrNoBucket},
		{404, "NoSuchUpload", nil}, // says nothing of the object
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
		{0, "", nil}, // the server was not reached
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

func TestAWriteOverAVersionThatIsGoneIsAConditionNotMet(t *testing.T) {
	gone := s3rules.Failure{Status: 404, Code: "NoSuchKey"}
	err := gone.WrapWrite("put", "a", backend.Condition{IfMatch: "x"}, errors.New("cause"))
	require.ErrorIs(t, err, backend.ErrPrecondition)
	require.NotErrorIs(t, err, backend.ErrNotFound)
	missing := s3rules.Failure{Status: 404, Code: "NoSuchBucket"}
	require.ErrorIs(t, missing.WrapWrite("put", "a", backend.Condition{IfMatch: "x"}, errors.New("cause")), backend.ErrNoBucket)
}

func TestACopyThatAServerDoesNotHaveIsToldFromOneThatFails(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   bool
	}{
		{501, "NotImplemented", true},
		{405, "MethodNotAllowed", true},
		{400, "InvalidArgument", true},
		{400, "ExpiredToken", false},
		{400, "RequestTimeout", false},
		{403, "AccessDenied", false},
		{404, "NoSuchKey", false},
		{412, "PreconditionFailed", false},
		{503, "SlowDown", false},
		{200, "InternalError", false}, // S3 may find out late
		{0, "", false},
	} {
		cause := errors.New("cause")
		err := s3rules.Failure{Status: c.status, Code: c.code}.WrapCopy("a/b", cause)
		require.ErrorIs(t, err, cause)
		require.ErrorContains(t, err, "copy a/b: ")
		require.Equal(t, c.want, errors.Is(err, backend.ErrUnable), "%d %s: %v", c.status, c.code, err)
	}
}

func TestARefusalNamesThePermissionThatIsMissing(t *testing.T) {
	const user = "User: arn:aws:sts::123456789012:assumed-role/mirror/i-0 is not authorized to perform: "
	for name, c := range map[string]struct {
		failure s3rules.Failure
		op      string
		want    *backend.PermissionError
	}{
		"a write": {s3rules.Failure{Status: 403, Code: "AccessDenied", Message: "Access Denied"}, "put",
			&backend.PermissionError{Action: "s3:PutObject", Resource: "arn:aws:s3:::images/pre/a/b"}},
		"a read: there may be no such object": {s3rules.Failure{Status: 403, Code: "AccessDenied"}, "get",
			&backend.PermissionError{Action: "s3:GetObject", Resource: "arn:aws:s3:::images/pre/a/b", Instead: "s3:ListBucket"}},
		"HEAD: a status and no word": {s3rules.Failure{Status: 403, Code: "Forbidden"}, "stat",
			&backend.PermissionError{Action: "s3:GetObject", Resource: "arn:aws:s3:::images/pre/a/b", Instead: "s3:ListBucket"}},
		"a listing is of the bucket": {s3rules.Failure{Status: 403, Code: "AccessDenied"}, "list",
			&backend.PermissionError{Action: "s3:ListBucket", Resource: "arn:aws:s3:::images"}},
		"AWS knows better": {s3rules.Failure{Status: 403, Code: "AccessDenied",
			Message: user + `s3:ListBucket on resource: "arn:aws:s3:::images" because no identity-based policy allows the s3:ListBucket action`}, "get",
			&backend.PermissionError{Action: "s3:ListBucket", Resource: "arn:aws:s3:::images"}},
		"a key of KMS": {s3rules.Failure{Status: 403, Code: "AccessDenied",
			Message: user + "kms:GenerateDataKey on resource: arn:aws:kms:eu-central-1:123456789012:key/k because no identity-based policy allows it"}, "put",
			&backend.PermissionError{Action: "kms:GenerateDataKey", Resource: "arn:aws:kms:eu-central-1:123456789012:key/k"}},
		"wrong credentials":       {s3rules.Failure{Status: 403, Code: "SignatureDoesNotMatch"}, "put", nil},
		"credentials of the past": {s3rules.Failure{Status: 400, Code: "ExpiredToken"}, "put", nil},
		"something else":          {s3rules.Failure{Status: 404, Code: "NoSuchKey"}, "get", nil},
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

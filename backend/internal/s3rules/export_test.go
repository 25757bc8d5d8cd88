package s3rules

var (
	NewSource = newSource
	OpenBody  = openBody
)

package handlers

// MaxStreamBuffers is how many clients have a large buffer at a time.
const MaxStreamBuffers = maxStreamBuffers

// Stream sends a body.
var Stream = stream

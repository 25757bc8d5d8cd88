package link

import "golang.org/x/sys/unix"

// maxUnsent is the maximum number of bytes that the kernel accepts from this process without having sent them.
const maxUnsent = 128 << 10

// boundUnsent keeps the kernel from accepting megabytes of a body that the store does not read. They would look like
// progress, and once the kernel has the whole body, a slow link would look like an unresponsive store. Bytes in flight do not
// count, so transfers do not become slower.
func boundUnsent(fd uintptr) {
	// Kernels without the option ignore the bound.
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
}

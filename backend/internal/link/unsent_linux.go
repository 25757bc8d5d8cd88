package link

import "golang.org/x/sys/unix"

// maxUnsent is how many bytes the kernel takes from this process before it can send them.
const maxUnsent = 128 << 10

// boundUnsent keeps the kernel from taking megabytes of a body that the store does not read: they would look like progress,
// and once all of a body is in the kernel a slow link would look like a store that does not answer. What is on its way
// over the network does not count, so transfers are not slower.
func boundUnsent(fd uintptr) {
	// A kernel that does not know the option does without.
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
}

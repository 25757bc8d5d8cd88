package upstreamtest

import (
	"archive/tar"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
)

// Content is the bytes of a blob, safe for concurrent reads: a *bytes.Reader, the result of Random, or an *io.SectionReader
// of a file, for example.
type Content interface {
	io.ReaderAt
	Size() int64
}

// Random returns size pseudo-random bytes that cannot be compressed and depend only on the seed. Reads generate them, so a
// blob of many GiB takes no memory. Longer content with the same seed starts with the same bytes.
func Random(seed uint64, size int64) Content {
	var key [16]byte
	binary.BigEndian.PutUint64(key[8:], seed)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only if the key has a wrong length
	}
	return io.NewSectionReader(keystream{block}, 0, size)
}

// keystream is AES in counter mode: random, fast, and readable at any offset.
type keystream struct{ block cipher.Block }

func (k keystream) ReadAt(p []byte, off int64) (int, error) {
	var counter, skipped [aes.BlockSize]byte
	binary.BigEndian.PutUint64(counter[8:], uint64(off)/aes.BlockSize)
	stream := cipher.NewCTR(k.block, counter[:])
	skip := skipped[:off%aes.BlockSize]
	stream.XORKeyStream(skip, skip)
	clear(p)
	stream.XORKeyStream(p, p)
	return len(p), nil
}

// tarSize is the size of the smallest archive: a header, one block of a file, and two empty blocks at the end.
const tarSize = 4 * 512

// layer returns a tar archive of exactly size bytes with one random file. Below tarSize, the bytes are just random.
func layer(seed uint64, size int64) Content {
	if size < tarSize {
		return Random(seed, size)
	}
	file := (size - 3*512) &^ 511
	var head bytes.Buffer
	header := tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("data/%d", seed), Size: file, Mode: 0o644}
	if err := tar.NewWriter(&head).WriteHeader(&header); err != nil {
		panic(err) // a plain header is valid
	}
	if head.Len() != 512 {
		panic(fmt.Sprintf("a layer of %d bytes is too large for a plain tar header", size))
	}
	return archive{Random(seed, size), head.Bytes(), 512 + file}
}

type archive struct {
	Content        // of the file, and below head and the end
	head    []byte // covers the beginning
	end     int64  // zeros follow
}

func (a archive) ReadAt(p []byte, off int64) (int, error) {
	n, err := a.Content.ReadAt(p, off)
	if off < int64(len(a.head)) {
		copy(p[:n], a.head[off:])
	}
	if off+int64(n) > a.end {
		clear(p[max(0, a.end-off):n])
	}
	return n, err
}

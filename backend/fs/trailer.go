package fs

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/entrepot-io/entrepot/backend"
)

// trailer holds the attributes of an object besides its bytes and the file's time. It follows the bytes in the file: first
// as JSON, then a foot of fixed size with the CRC-32 and the length of the JSON (4 bytes each, big endian) and the magic.
type trailer struct {
	// ETag is random for each write: cheap, unique, and copied with the file, unlike an inode number or a time.
	ETag        backend.ETag      `json:"etag"`
	ContentType string            `json:"contentType"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

const (
	magic      = "entrepo1"
	footSize   = 8 + int64(len(magic))
	maxTrailer = 64 << 10 // bytes of JSON
)

// errNoObject means that this package did not write the file, or that the file has been damaged.
var errNoObject = errors.New("file is not an object of this store, or damaged")

// bytes returns the encoded trailer.
func (t trailer) bytes() ([]byte, error) {
	b, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	n := len(b)
	if n > maxTrailer {
		return nil, fmt.Errorf("content type and metadata take %d bytes, which exceeds the limit of %d", n, maxTrailer)
	}
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return append(b, magic...), nil
}

// readTrailer reads the trailer of a file of fileSize bytes, and returns it with the size of the object.
func readTrailer(f *os.File, fileSize int64) (trailer, int64, error) {
	// The first read nearly always contains the whole trailer.
	tail := make([]byte, min(fileSize, 512))
	if err := readAt(f, tail, fileSize-int64(len(tail))); err != nil {
		return trailer{}, 0, err
	}
	if int64(len(tail)) < footSize || string(tail[len(tail)-len(magic):]) != magic {
		return trailer{}, 0, errNoObject
	}
	foot := tail[int64(len(tail))-footSize:]
	sum, n := binary.BigEndian.Uint32(foot), int64(binary.BigEndian.Uint32(foot[4:]))
	size := fileSize - footSize - n
	if n > maxTrailer || size < 0 {
		return trailer{}, 0, errNoObject
	}
	text := tail[:int64(len(tail))-footSize]
	if n <= int64(len(text)) {
		text = text[int64(len(text))-n:]
	} else {
		text = make([]byte, n)
		if err := readAt(f, text, size); err != nil {
			return trailer{}, 0, err
		}
	}
	var t trailer
	if crc32.ChecksumIEEE(text) != sum || json.Unmarshal(text, &t) != nil {
		return trailer{}, 0, errNoObject
	}
	return t, size, nil
}

func readAt(f *os.File, b []byte, offset int64) error {
	_, err := f.ReadAt(b, offset)
	if err == io.EOF {
		err = fmt.Errorf("%w: file shrinks while it is read", errNoObject)
	}
	return err
}

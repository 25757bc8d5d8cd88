package mirror

import (
	"errors"
	"io"
)

// pieces reads several buffers as one, without copying them.
type pieces struct {
	of [][]byte
	at int64
}

func newPieces(of [][]byte) *pieces { return &pieces{of: of} }

// sizeOf returns the total number of bytes.
func sizeOf(of [][]byte) (size int64) {
	for _, piece := range of {
		size += int64(len(piece))
	}
	return size
}

// Read implements io.Reader.
func (p *pieces) Read(buf []byte) (int, error) {
	skip := p.at
	for _, piece := range p.of {
		if skip >= int64(len(piece)) {
			skip -= int64(len(piece))
			continue
		}
		n := copy(buf, piece[skip:])
		p.at += int64(n)
		return n, nil
	}
	return 0, io.EOF
}

// Seek implements io.Seeker. Stores need it to repeat a request.
func (p *pieces) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.at
	case io.SeekEnd:
		offset += sizeOf(p.of)
	}
	if offset < 0 {
		return 0, errors.New("seek before the first byte")
	}
	p.at = offset
	return offset, nil
}

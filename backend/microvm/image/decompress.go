package image

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	"github.com/pierrec/lz4/v4"
)

// formats are what kernels, modules and packages are compressed with, by how
// the data begins.
var formats = []struct {
	name, magic string
	open        func(io.Reader) (io.ReadCloser, error) // nil is not supported
}{
	{"gzip", "\x1f\x8b\x08", func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
	{"xz", "\xfd7zXZ\x00", func(r io.Reader) (io.ReadCloser, error) { return noClose(xz.NewReader(r, windowMax)) }},
	{"zstd", "\x28\xb5\x2f\xfd", func(r io.Reader) (io.ReadCloser, error) {
		d, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(windowMax), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}},
	// The older frame of lz4, which has no end: the data has to have one.
	{"lz4", "\x02\x21\x4c\x18", func(r io.Reader) (io.ReadCloser, error) { return noClose(lz4.NewReader(r), nil) }},
	{"bzip2", "BZh", func(r io.Reader) (io.ReadCloser, error) { return noClose(bzip2.NewReader(r), nil) }},
	{"lzma", "\x5d\x00\x00", nil},
	{"lzop", "\x89LZO\x00", nil},
}

// windowMax is what the strongest setting of xz and zstd takes, and no more.
const windowMax = 128 << 20

func noClose(r io.Reader, err error) (io.ReadCloser, error) {
	if err != nil {
		return nil, err
	}
	return io.NopCloser(r), nil
}

// compression is the name of the format that data is in, "" if it is none.
func compression(data []byte) string {
	for _, f := range formats {
		if bytes.HasPrefix(data, []byte(f.magic)) {
			return f.name
		}
	}
	return ""
}

// errCompression says that the data is of a format that cannot be read.
var errCompression = errors.New("compression that is not supported")

// decompress reads data of any of the formats, or as it is.
func decompress(r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 1<<18)
	begin, err := br.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for _, f := range formats {
		if !bytes.HasPrefix(begin, []byte(f.magic)) {
			continue
		}
		if f.open == nil {
			return nil, fmt.Errorf("%s: %w", f.name, errCompression)
		}
		out, err := f.open(br)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		return out, nil
	}
	return io.NopCloser(br), nil
}

// readAll is io.ReadAll that takes no more than limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("more than %s", Size(limit))
	}
	return data, err
}

// unpacked is the content of a compressed file.
func unpacked(data []byte, limit int64) ([]byte, error) {
	r, err := decompress(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readAll(r, limit)
}

// heeding ends reading when ctx is done.
type heeding struct {
	ctx context.Context
	r   io.Reader
}

func (h heeding) Read(p []byte) (int, error) {
	if h.ctx.Err() != nil {
		return 0, context.Cause(h.ctx)
	}
	return h.r.Read(p)
}

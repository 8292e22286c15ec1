package attest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"glasshouse/internal/procfs"
	"glasshouse/receipt"
)

// Why a file is no subject.
const (
	reasonChanged   = "changed since the run's last write"
	reasonLater     = "changed since the run ended"
	reasonGone      = "gone"
	reasonIrregular = "no regular file"
	reasonElsewhere = "in another mount namespace"
	reasonName      = "its name is not UTF-8"
	reasonMapped    = "mapped by a process that can change it"
	reasonLarge     = "too large to be read"
)

// maxRead bounds how much of the files that a run wrote is read for a
// signature, in bytes: a sparse file can have any size.
const maxRead = 256 << 30

// hasher reads the files that a run wrote.
type hasher struct {
	ctx    context.Context
	left   uint64               // bytes that may still be read
	mapped func() procfs.Mapped // what processes can change without a trace
}

func newHasher(ctx context.Context) *hasher {
	return &hasher{ctx, maxRead, sync.OnceValue(procfs.ReadMapped)}
}

// addFiles makes subjects of the files that the run wrote, if they still are
// what they were when it ended, and says why it did not of others. It returns
// with the context's error when that ends, even if a file system does not answer:
// then s and p are of no use.
func (h *hasher) addFiles(s *Statement, p *Predicate, files []receipt.FileEntry) error {
	done := make(chan error, 1)
	go func() { done <- h.add(s, p, files) }()
	select {
	case err := <-done:
		return err
	case <-h.ctx.Done():
		return context.Cause(h.ctx)
	}
}

func (h *hasher) add(s *Statement, p *Predicate, files []receipt.FileEntry) error {
	names := 0
	for i := range files {
		f := &files[i]
		if f.Final == nil {
			continue
		}
		names += len(f.Path)
		if len(s.Subject) == MaxSubjects || names > maxNames {
			p.Omitted++
			continue
		}
		digest, reason, err := h.final(f)
		switch {
		case err != nil:
			return err
		case reason == "":
			s.Subject = append(s.Subject, Subject{f.Path, Digest{digest}})
		case len(p.Excluded) < MaxSubjects:
			p.Excluded = append(p.Excluded, Excluded{f.Path, reason})
		default:
			p.Omitted++
		}
	}
	return nil
}

// final returns the digest of a file, or the reason why there is none. The
// error is the context's.
func (h *hasher) final(f *receipt.FileEntry) (digest, reason string, err error) {
	switch {
	case f.Final.Changed:
		return "", reasonChanged, nil
	case f.OtherMounts:
		return "", reasonElsewhere, nil
	case f.PathBytes != nil:
		return "", reasonName, nil
	}
	file, err := openRegular(f.Path)
	if err != nil {
		return "", whyNot(err), nil
	}
	defer file.Close()
	// Before and after: what was changed while it was read has two contents.
	for range 2 {
		same, err := isStill(file, f.Final)
		if err != nil {
			return "", whyNot(err), nil
		}
		if !same {
			return "", reasonLater, nil
		}
		if digest != "" {
			break
		}
		// Who had it mapped before can change it, and no clock tells.
		if isMapped(h.mapped(), file) {
			return "", reasonMapped, nil
		}
		if f.Final.Size > h.left {
			return "", reasonLarge, nil
		}
		h.left -= f.Final.Size
		if digest, err = digestOf(h.ctx, file, int64(f.Final.Size)); h.ctx.Err() != nil {
			return "", "", context.Cause(h.ctx)
		} else if err != nil {
			return "", whyNot(err), nil
		}
	}
	return digest, "", nil
}

// errIrregular is what openRegular returns for a folder, a link, a device.
var errIrregular = errors.New(reasonIrregular)

// whyNot is the reason that an error is.
func whyNot(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist) || notFolder(err):
		return reasonGone
	case errors.Is(err, errIrregular):
		return reasonIrregular
	case errors.As(err, &path):
		err = path.Err
	}
	return fmt.Sprintf("not readable: %v", err)
}

// digestOf is the hex SHA-256 of what is left of f, but not of more than size
// bytes: somebody may write faster than they are read.
func digestOf(ctx context.Context, f *os.File, size int64) (string, error) {
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, io.LimitReader(reader{ctx, f}, size), make([]byte, 256<<10)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// reader ends with the context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

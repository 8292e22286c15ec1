package image

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"
)

// DefaultRootFSSize is the most that a root file system may take unless more is
// asked for; it takes what its files need.
const DefaultRootFSSize = 16 << 30

// contents hands the content of every file of a tree to put, in any order. A
// file is passed over if it is not in the tree.
type contents func(ctx context.Context, put func(content int, r io.Reader) error) error

// writeExt4 writes a tree as a file system: folders first, then files with
// what they hold, the rest, and links to what is there by then. The same tree
// gives the same bytes.
func writeExt4(ctx context.Context, to *os.File, t *tree, read contents, limit int64) error {
	var total int64
	if err := t.walk(func(name string, n *node) error {
		if n.at == "" {
			n.at = tarName(name)
			total += n.size
		}
		if total > limit || n.size > limit {
			return tooBig(limit)
		}
		return nil
	}); err != nil {
		return err
	}
	// The converter reads another tar than the one that came from outside: of
	// plain headers, in an order that it can do with.
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		buffered := bufio.NewWriterSize(w, 1<<20)
		err := writeTar(ctx, buffered, t, read)
		if err == nil {
			err = buffered.Flush()
		}
		_ = w.CloseWithError(err)
		written <- err
	}()
	err := tar2ext4.ConvertTarToExt4(r, to, tar2ext4.MaximumDiskSize(limit))
	_ = r.CloseWithError(errConverter)
	if from := <-written; from != nil && !errors.Is(from, errConverter) {
		return from
	}
	if err != nil {
		// Its error has no type that others see.
		if strings.Contains(err.Error(), "exceeded maximum size") {
			return tooBig(limit)
		}
		return fmt.Errorf("write ext4: %w", err)
	}
	return nil
}

var errConverter = errors.New("the converter has ended")

func tooBig(limit int64) error {
	return &Error{fmt.Errorf("the root file system is bigger than %s", Size(limit)), "--rootfs-size allows more"}
}

func writeTar(ctx context.Context, to io.Writer, t *tree, read contents) error {
	w := tar.NewWriter(to)
	var later []tar.Header
	files := map[int]*tar.Header{} // by content
	err := t.walk(func(name string, n *node) error {
		h := n.header(tarName(name))
		switch {
		case n.kind == tar.TypeDir:
			return w.WriteHeader(&h)
		case n.at != h.Name:
			later = append(later, tar.Header{Typeflag: tar.TypeLink, Name: h.Name, Linkname: n.at, Format: tar.FormatPAX})
			return nil
		}
		if n.size > 0 {
			files[n.content] = &h
			return nil
		}
		return w.WriteHeader(&h)
	})
	if err != nil {
		return err
	}
	err = read(ctx, func(content int, r io.Reader) error {
		h, ok := files[content]
		if !ok {
			return nil
		}
		delete(files, content)
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if n, err := io.Copy(w, heeding{ctx, r}); err != nil {
			return err
		} else if n != h.Size {
			return fmt.Errorf("%s has %d bytes, and had %d", h.Name, n, h.Size)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(files) > 0 {
		return fmt.Errorf("%d files have gone while they were read", len(files))
	}
	for i := range later {
		if err := w.WriteHeader(&later[i]); err != nil {
			return err
		}
	}
	return w.Close()
}

func tarName(name string) string { return "./" + name }

func (n *node) header(name string) tar.Header {
	h := tar.Header{
		Typeflag: n.kind, Name: name, Linkname: n.target, Size: n.size, Mode: n.mode, Uid: n.uid, Gid: n.gid,
		ModTime: n.time, AccessTime: n.time, ChangeTime: n.time, Devmajor: n.major, Devminor: n.minor,
		Format: tar.FormatPAX,
	}
	if n.kind == tar.TypeDir {
		h.Name += "/"
	}
	for key, value := range n.xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[paxXattr+key] = value
	}
	return h
}

// paxXattr is what archivers put before the name of an extended attribute.
const paxXattr = "SCHILY.xattr."

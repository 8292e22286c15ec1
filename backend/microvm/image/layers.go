package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// layers are tars, each over the one before.
type layers struct {
	open      []func() (io.ReadCloser, error)
	whiteouts bool // they say what of the ones before is not there
	said      map[string]int
}

// each calls a function for every entry, counted over all layers.
func (l *layers) each(ctx context.Context, do func(i, layer int, h *tar.Header, r io.Reader) error) error {
	i := 0
	for layer, open := range l.open {
		if err := func() (err error) {
			packed, err := open()
			if err != nil {
				return err
			}
			defer packed.Close()
			plain, err := decompress(heeding{ctx, packed})
			if err != nil {
				return err
			}
			defer plain.Close()
			t := tar.NewReader(plain)
			for ; ; i++ {
				h, err := t.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return err
				}
				if err := do(i, layer, h, t); err != nil {
					return fmt.Errorf("%.200s: %w", h.Name, err)
				}
			}
			// What is checked is checked at the end of the file.
			_, err = io.Copy(io.Discard, plain)
			if err == nil {
				_, err = io.Copy(io.Discard, packed)
			}
			return err
		}(); err != nil {
			if len(l.open) > 1 {
				err = fmt.Errorf("layer %d: %w", layer+1, err)
			}
			return err
		}
	}
	return nil
}

// tree reads all that is in the layers but the contents of files.
func (l *layers) tree(ctx context.Context) (*tree, error) {
	t := newTree()
	l.said = map[string]int{}
	err := l.each(ctx, func(i, layer int, h *tar.Header, _ io.Reader) error {
		if l.whiteouts && !strings.HasSuffix(h.Name, opaque) && strings.Contains("/"+h.Name, "/"+whiteout+whiteout) {
			return nil // what union file systems keep for themselves
		}
		if base := h.Name[strings.LastIndexByte(h.Name, '/')+1:]; l.whiteouts && strings.HasPrefix(base, whiteout) {
			return t.hide(h.Name, layer)
		}
		if h.Typeflag == tar.TypeLink {
			return t.link(h.Name, h.Linkname, layer)
		}
		n, err := l.node(h)
		if n == nil || err != nil {
			return err
		}
		n.content = i
		return t.put(h.Name, n, layer)
	})
	return t, err
}

// contents hands out what files hold.
func (l *layers) contents(ctx context.Context, put func(int, io.Reader) error) error {
	return l.each(ctx, func(i, _ int, _ *tar.Header, r io.Reader) error { return put(i, r) })
}

func (l *layers) node(h *tar.Header) (*node, error) {
	n := &node{
		kind: h.Typeflag, mode: h.Mode & 0o7777, uid: h.Uid, gid: h.Gid, time: h.ModTime,
		xattrs: map[string]string{},
	}
	if n.uid < 0 || n.gid < 0 || int64(n.uid) > idMax || int64(n.gid) > idMax {
		return nil, fmt.Errorf("its owner is %d:%d", n.uid, n.gid)
	}
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeFifo:
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		n.kind, n.size = tar.TypeReg, h.Size
	case tar.TypeSymlink:
		n.target = h.Linkname
	case tar.TypeChar, tar.TypeBlock:
		n.major, n.minor = h.Devmajor, h.Devminor
	case tar.TypeXGlobalHeader:
		return nil, nil
	default:
		l.said[fmt.Sprintf("entries of type %q", h.Typeflag)]++
		return nil, nil
	}
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, paxXattr); ok {
			if keptXattr(name) {
				n.xattrs[name] = value
			} else {
				l.said["extended attributes "+name]++
			}
		}
	}
	return n, n.check()
}

const idMax = 1<<32 - 2 // the one above says "no change"

// check says what no file can be.
func (n *node) check() error {
	if n.kind == tar.TypeSymlink && (n.target == "" || len(n.target) >= pathMax || strings.ContainsRune(n.target, 0)) {
		return fmt.Errorf("a symbolic link to %d bytes", len(n.target))
	}
	if n.major < 0 || n.major >= 1<<12 || n.minor < 0 || n.minor >= 1<<20 {
		return fmt.Errorf("a device %d:%d", n.major, n.minor)
	}
	// The range of ext4.
	if n.time.Before(time.Unix(-1<<31, 0)) || n.time.After(time.Unix(1<<34-1<<31, 0)) {
		n.time = time.Unix(0, 0)
	}
	return nil
}

// keptXattr says which extended attributes mean the same in a guest: not those
// that ext4 keeps in another form, and not what an overlay keeps for itself.
func keptXattr(name string) bool {
	switch first, rest, _ := strings.Cut(name, "."); first {
	case "user", "security":
		return rest != "" && !strings.HasPrefix(rest, "overlay.")
	}
	return false
}

// tarLayers is a root file system in one tar.
func tarLayers(file string) *layers {
	return &layers{open: []func() (io.ReadCloser, error){func() (io.ReadCloser, error) { return os.Open(file) }}}
}

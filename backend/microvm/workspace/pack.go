// Package workspace takes a folder into a virtual machine and brings back what
// became of it: a tar stream goes in, and what was added or changed comes back
// as another, with the names of what was deleted.
//
// The guest is hostile. What comes back is checked entry by entry and written
// anew: plain files and folders with local names, nothing else, within a limit.
// It is applied below the folder's own root and nowhere else.
package workspace

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Skipped is something that is not taken along.
type Skipped struct {
	Path   string // relative, with slashes
	Reason string
}

// Pack writes the folder dir as a tar stream: files, folders and symbolic links,
// with modes and times. It returns the names of what was written or skipped. What
// goes away meanwhile is not in there; of a folder that is in there by then, what
// has been written stays. A file that shrinks meanwhile is an error.
func Pack(w io.Writer, dir string) (names map[string]bool, skipped []Skipped, err error) {
	out := tar.NewWriter(w)
	names, skipped, err = list(dir, func(root *os.Root, name string, info fs.FileInfo) error { return packOne(out, root, name, info) })
	return names, skipped, errors.Join(err, out.Close())
}

// Names are those of what lies in the folder dir.
func Names(dir string) (map[string]bool, error) {
	names, _, err := list(dir, func(*os.Root, string, fs.FileInfo) error { return nil })
	return names, err
}

func list(dir string, pack func(root *os.Root, name string, info fs.FileInfo) error) (names map[string]bool, skipped []Skipped, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	return listIn(root, func(name string, info fs.FileInfo) error { return pack(root, name, info) })
}

func listIn(root *os.Root, pack func(name string, info fs.FileInfo) error) (names map[string]bool, skipped []Skipped, err error) {
	names = map[string]bool{}
	take := func(name string, d fs.DirEntry) error {
		info, err := d.Info()
		if err != nil {
			return err
		}
		if t := info.Mode().Type(); t != 0 && t != fs.ModeDir && t != fs.ModeSymlink {
			skipped = append(skipped, Skipped{filepath.ToSlash(name), "neither a file nor a folder nor a link"})
		} else if err := pack(name, info); err != nil {
			return err
		}
		names[filepath.ToSlash(name)] = true
		return nil
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if name == "." {
			return err
		}
		if err == nil {
			err = take(name, d)
		}
		switch {
		case !gone(err):
			return err
		case d.IsDir():
			return fs.SkipDir // if there is one again, its entry is not
		}
		return nil
	})
	return names, skipped, err
}

// gone tells whether an error is that of a name which leads nowhere any more: it
// was removed since it was listed, or a folder on the way was replaced by a file.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// packOne writes one entry. An error of opening it comes before anything is
// written: a stream with half an entry could not go on.
func packOne(out *tar.Writer, root *os.Root, name string, info fs.FileInfo) (err error) {
	target := ""
	var f *content
	switch {
	case info.Mode().Type() == fs.ModeSymlink:
		target, err = root.Readlink(name)
	case info.Mode().IsRegular():
		if f, err = openFile(root, name); err == nil {
			defer f.Close()
		}
	default:
		_, err = root.Lstat(name) // info is from when it was listed
	}
	if err != nil {
		return err
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	// Whose it is on this host is not the guest's business, and is not changed.
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = filepath.ToSlash(name), 0, 0, "", ""
	h.Format = tar.FormatPAX
	if err := out.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if f == nil {
		return nil
	}
	n, err := io.Copy(out, io.LimitReader(f, h.Size))
	if err == nil && n < h.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// content is what a file holds.
type content struct{ file *os.File }

// openFile opens a file for reading, and does not wait where a FIFO has taken its
// place.
func openFile(root *os.Root, name string) (*content, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return &content{f}, nil
}

// readLimit is how long a file may have nothing to read before its end.
var readLimit = 10 * time.Second

// Read is an error where there is nothing to read for too long: what looks like a
// file may be one of the kernel's, in which something comes now and then.
func (c *content) Read(p []byte) (int, error) {
	_ = c.file.SetReadDeadline(time.Now().Add(readLimit)) // others have none, and need none
	return c.file.Read(p)
}

func (c *content) Close() error { return c.file.Close() }

// Owner is who the files in the guest belong to.
type Owner struct{ UID, GID int }

// Unpack makes the folder dir of a tar stream, inside of the guest.
func Unpack(r io.Reader, dir string, owner Owner) (*Snapshot, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.Chown(dir, owner.UID, owner.GID); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	in := tar.NewReader(r)
	var folders []*tar.Header
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := unpackOne(in, root, h, owner); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
		if h.Typeflag == tar.TypeDir {
			folders = append(folders, h)
		}
	}
	// Last: what is put into a folder changes its time, and it may be read-only.
	for _, h := range slices.Backward(folders) {
		name := filepath.FromSlash(filepath.Clean(h.Name))
		if err := errors.Join(root.Chmod(name, h.FileInfo().Mode().Perm()), root.Chtimes(name, h.ModTime, h.ModTime)); err != nil {
			return nil, err
		}
	}
	return snapshot(dir)
}

func unpackOne(in io.Reader, root *os.Root, h *tar.Header, owner Owner) error {
	name := filepath.Clean(filepath.FromSlash(h.Name))
	if !filepath.IsLocal(name) {
		return errors.New("not a local name")
	}
	mode := h.FileInfo().Mode().Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		if err := root.Mkdir(name, 0o700); err != nil {
			return err
		}
		return root.Lchown(name, owner.UID, owner.GID)
	case tar.TypeSymlink:
		if err := root.Symlink(h.Linkname, name); err != nil {
			return err
		}
		return root.Lchown(name, owner.UID, owner.GID)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, in)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		return errors.Join(root.Lchown(name, owner.UID, owner.GID), root.Chmod(name, mode), root.Chtimes(name, h.ModTime, h.ModTime))
	}
	return fmt.Errorf("an entry of type %q", h.Typeflag)
}

package workspace

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	nameLimit  = 4096
	entryLimit = 1 << 20 // of a folder
)

// Receive reads what a guest says came to be in the folder, and writes what may
// come back of it to w, as a tar stream of its own making. limit bounds the
// bytes of all files; before are the names that Pack took along.
//
// Refused are entries that are no plain file or folder, or whose name is not
// local, or comes twice, or goes through a file. An error is a stream that is no
// tar, or is too large.
func Receive(r io.Reader, w io.Writer, limit int64, before map[string]bool) (*Diff, error) {
	d := &Diff{}
	in, out := tar.NewReader(r), tar.NewWriter(w)
	kinds := map[string]byte{} // of the entries so far
	for n := 0; ; n++ {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("what comes back of the workspace: %w", err)
		}
		if n == entryLimit {
			return nil, fmt.Errorf("what comes back of the workspace has more than %d entries", entryLimit)
		}
		name, err := acceptable(h, kinds)
		if err != nil {
			d.Refused = append(d.Refused, Skipped{clip(h.Name), err.Error()})
			continue
		}
		if limit -= h.Size; limit < 0 {
			return nil, errors.New("what comes back of the workspace is too large")
		}
		kinds[name] = h.Typeflag
		if err := out.WriteHeader(&tar.Header{
			Typeflag: h.Typeflag, Name: name, Size: h.Size, Mode: h.Mode & 0o777, ModTime: h.ModTime, Format: tar.FormatPAX,
		}); err != nil {
			return nil, err
		}
		if _, err := io.Copy(out, in); err != nil {
			return nil, fmt.Errorf("what comes back of the workspace: %w", err)
		}
		if before[name] {
			d.Changed = append(d.Changed, name)
		} else {
			d.Added = append(d.Added, name)
		}
	}
	d.sort()
	return d, out.Close()
}

// Delete adds what the guest says is gone. Names that were never there are
// refused.
func (d *Diff) Delete(names []string, before map[string]bool) {
	for _, name := range names {
		if before[name] {
			d.Deleted = append(d.Deleted, name)
		} else {
			d.Refused = append(d.Refused, Skipped{clip(name), "said to be deleted, and was never there"})
		}
	}
	d.sort()
	d.Deleted = slices.Compact(d.Deleted)
}

// acceptable is the clean name of an entry that may come back.
func acceptable(h *tar.Header, kinds map[string]byte) (string, error) {
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
		return "", errors.New("neither a file nor a folder")
	}
	name := path.Clean(h.Name)
	switch {
	case h.Name == "" || name == "." || !filepath.IsLocal(filepath.FromSlash(name)) || strings.Contains(name, "\x00") || strings.Contains("/"+h.Name+"/", "/../"):
		return "", errors.New("its name leads out of the workspace")
	case len(name) > nameLimit:
		return "", errors.New("its name is too long")
	}
	if _, twice := kinds[name]; twice {
		return "", errors.New("it comes twice")
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if kind, ok := kinds[dir]; ok && kind != tar.TypeDir {
			return "", errors.New("its name goes through a file")
		}
	}
	return name, nil
}

func clip(s string) string {
	if len(s) > 256 {
		s = s[:256] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Apply makes the changes of a tar stream that Receive wrote, and the deletions,
// in dir. Files are replaced whole. A symbolic link that leads out of dir is not
// followed: that is an error, and what came before it stays done.
func Apply(r io.Reader, dir string, d *Diff) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	// The deepest first, so that folders are empty when they are removed. What
	// somebody else has put into one stays.
	for _, name := range slices.Backward(d.Deleted) {
		if err := root.Remove(filepath.FromSlash(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := applyOne(in, root, h); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

func applyOne(in io.Reader, root *os.Root, h *tar.Header) error {
	name := filepath.FromSlash(h.Name)
	perm := os.FileMode(h.Mode).Perm()
	// A file where a folder was, or the other way round.
	if was, err := root.Lstat(name); err == nil && was.IsDir() != (h.Typeflag == tar.TypeDir) {
		if err := root.Remove(name); err != nil {
			return err
		}
	}
	if h.Typeflag == tar.TypeDir {
		if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		return root.Chmod(name, perm|0o700)
	}
	temp := filepath.Join(filepath.Dir(name), fmt.Sprintf(".glasshouse-%d-%s", os.Getpid(), filepath.Base(name)))
	if len(filepath.Base(temp)) > 255 {
		temp = filepath.Join(filepath.Dir(name), fmt.Sprintf(".glasshouse-%d", os.Getpid()))
	}
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = errors.Join(root.Chmod(temp, perm), root.Chtimes(temp, h.ModTime, h.ModTime))
	}
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp)
	}
	return err
}

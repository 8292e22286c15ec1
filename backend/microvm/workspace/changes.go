package workspace

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Snapshot is what a folder holds at a moment.
type Snapshot struct {
	dir     string
	entries map[string]entry // by name, relative
	layers  *layers          // nil if dir is a folder like others
}

// layers are what an overlay shows: what lies in upper was written to, or is
// new; of lower nothing changes.
type layers struct{ lower, upper *os.Root }

// Layered is a snapshot of dir, an overlay of these folders, before anybody
// writes to it. It need not read the files. It is to be closed.
func Layered(dir, lower, upper string) (*Snapshot, error) {
	below, err := os.OpenRoot(lower)
	if err != nil {
		return nil, err
	}
	above, err := os.OpenRoot(upper)
	if err != nil {
		_ = below.Close()
		return nil, err
	}
	s := &Snapshot{dir: dir, entries: map[string]entry{}, layers: &layers{below, above}}
	if err := s.fill(); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// Close lets go of the layers.
func (s *Snapshot) Close() error {
	if s.layers == nil {
		return nil
	}
	return errors.Join(s.layers.lower.Close(), s.layers.upper.Close())
}

type entry struct {
	mode   fs.FileMode
	sum    [sha256.Size]byte // of a file's content
	target string            // of a link
}

func snapshot(dir string) (*Snapshot, error) {
	s := &Snapshot{dir: dir, entries: map[string]entry{}}
	return s, s.fill()
}

func (s *Snapshot) fill() error {
	return s.walk(func(root *os.Root, name string, info fs.FileInfo) error {
		e, err := look(root, name, info.Mode(), s.layers == nil)
		s.entries[name] = e
		return err
	})
}

// written tells whether a name can be one that was written to: of an overlay what
// lies in the upper layer. What else is new, or is gone, is not the command's doing.
func (s *Snapshot) written(name string) bool {
	if s.layers == nil {
		return true
	}
	_, err := s.layers.upper.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// remains tells whether what is not seen any more would be, if nobody had deleted it.
func (s *Snapshot) remains(name string) bool {
	if s.layers == nil {
		return true
	}
	_, err := s.layers.lower.Lstat(name)
	return err == nil
}

// compare looks at what is there now, and at what was.
func (s *Snapshot) compare(root *os.Root, name string, info fs.FileInfo) (was, now entry, old bool, err error) {
	was, old = s.entries[name]
	if s.layers != nil && old {
		if before, err := s.layers.lower.Lstat(name); err == nil {
			if was, err = look(s.layers.lower, name, before.Mode(), true); err != nil {
				return was, now, old, err
			}
		}
	}
	now, err = look(root, name, info.Mode(), true)
	return was, now, old, err
}

// walk calls f for everything in the folder but itself. What goes away meanwhile
// is gone.
func (s *Snapshot) walk(f func(root *os.Root, name string, info fs.FileInfo) error) error {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || name == "." {
			return err
		}
		info, err := d.Info()
		if err == nil {
			err = f(root, name, info)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// look looks at one thing; read is whether a file's content matters.
func look(root *os.Root, name string, mode fs.FileMode, read bool) (entry, error) {
	e := entry{mode: mode}
	switch {
	case mode.IsRegular() && read:
		f, err := openFile(root, name)
		if err != nil {
			return e, err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return e, err
		}
		h.Sum(e.sum[:0])
	case mode.Type() == fs.ModeSymlink:
		var err error
		e.target, err = root.Readlink(name)
		return e, err
	}
	return e, nil
}

// Diff is what became of a folder: names, relative, with slashes, sorted.
type Diff struct {
	Added, Changed, Deleted []string
	Refused                 []Skipped // what came to be there and cannot come back
}

// Changes writes what was added to the folder or changed in it since the
// snapshot as a tar stream: files and folders. Of a changed folder it is the
// mode alone that comes back.
func (s *Snapshot) Changes(w io.Writer) (*Diff, error) {
	d := &Diff{}
	seen := map[string]bool{}
	out := tar.NewWriter(w)
	err := s.walk(func(root *os.Root, name string, info fs.FileInfo) error {
		seen[name] = true
		if !s.written(name) {
			return nil
		}
		was, now, old, err := s.compare(root, name, info)
		if err != nil {
			return err
		}
		if old && was == now {
			return nil
		}
		slashed := filepath.ToSlash(name)
		if !info.Mode().IsRegular() && !info.IsDir() {
			d.Refused = append(d.Refused, Skipped{slashed, "neither a file nor a folder"})
			return nil
		}
		if err := packOne(out, root, name, info); err != nil {
			return err
		}
		if old {
			d.Changed = append(d.Changed, slashed)
		} else {
			d.Added = append(d.Added, slashed)
		}
		return nil
	})
	for name := range s.entries {
		if !seen[name] && s.remains(name) {
			d.Deleted = append(d.Deleted, filepath.ToSlash(name))
		}
	}
	d.sort()
	return d, errors.Join(err, out.Close())
}

func (d *Diff) sort() {
	for _, list := range [][]string{d.Added, d.Changed, d.Deleted} {
		slices.Sort(list)
	}
	slices.SortFunc(d.Refused, func(a, b Skipped) int { return strings.Compare(a.Path, b.Path) })
}

package image

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// workshop is where an image is made: a folder beside its place, which goes
// when the build ends, and when the next one begins if it was killed.
type workshop struct {
	top     *os.File // held, and locked, as long as the build goes on
	path    string
	dir     string // of the image
	scratch string
}

// building follows a dot and the image's name, in the name of a workshop.
const building = ".building-"

// fresh is how old a workshop has to be before it can be left over: between
// being made and being held it looks so.
const fresh = time.Minute

func newWorkshop(image string) (*workshop, error) {
	parent, prefix := filepath.Split(image)
	prefix = "." + prefix + building
	sweep(parent, prefix)
	path, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, err
	}
	w := &workshop{path: path, dir: filepath.Join(path, "image"), scratch: filepath.Join(path, "scratch")}
	if w.top, err = hold(path); err == nil {
		err = errors.Join(os.Mkdir(w.dir, 0o700), os.Mkdir(w.scratch, 0o700))
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *workshop) close() {
	_ = os.RemoveAll(w.path)
	if w.top != nil {
		_ = w.top.Close()
	}
}

// sweep removes workshops that nobody holds.
func sweep(parent, prefix string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || !e.IsDir() {
			continue
		}
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < fresh {
			continue
		}
		path := filepath.Join(parent, e.Name())
		if f, err := hold(path); err == nil {
			_ = os.RemoveAll(path)
			_ = f.Close()
		}
	}
}

// place moves the image to where it is to be. What was there goes.
func (w *workshop) place(to string) error {
	err := os.Rename(w.dir, to)
	if err == nil {
		return syncFolder(filepath.Dir(to))
	}
	if _, statErr := os.Lstat(to); statErr != nil {
		return err
	}
	// The old one goes where the new one was, and with the workshop.
	if err := exchange(w.dir, to); err == nil {
		return syncFolder(filepath.Dir(to))
	} else if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	old := filepath.Join(w.path, "old")
	if err := os.Rename(to, old); err != nil {
		return err
	}
	if err := os.Rename(w.dir, to); err != nil {
		return errors.Join(err, os.Rename(old, to))
	}
	return syncFolder(filepath.Dir(to))
}

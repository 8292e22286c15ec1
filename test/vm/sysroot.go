package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"glasshouse/internal/apt"
	"glasshouse/internal/cpio"
)

// sysroot is a folder that programs for the guest are taken from, with the
// libraries that they need: "/" is this machine.
type sysroot string

// userlandRelease is the release of Debian that programs for another
// architecture than this machine's come from.
const userlandRelease = "bookworm"

// userlandPackages have the programs that the suites run, and what these are
// linked with.
var userlandPackages = []string{
	"coreutils", "dash", "libacl1", "libattr1", "libaudit1", "libblkid1", "libc-bin", "libc6", "libcap-ng0", "libgmp10",
	"libmount1", "libpcre2-8-0", "libselinux1", "libsmartcols1", "libssl3", "mount", "util-linux",
}

// userland is where the programs for an architecture are: those of this
// machine if it is its own, else some of Debian's, unpacked and not installed.
func userland(ctx context.Context, cache, arch string) (sysroot, error) {
	if arch == runtime.GOARCH {
		return "/", nil
	}
	dir := filepath.Join(cache, "userland-"+arch)
	if _, err := os.Stat(dir); err == nil {
		return sysroot(dir), nil
	}
	archive, err := apt.Open(ctx, dir+".apt", arch, userlandRelease)
	if err != nil {
		return "", err
	}
	unpacked := dir + ".unpacked"
	if err := os.RemoveAll(unpacked); err != nil {
		return "", err
	}
	if err := unpack(ctx, archive, unpacked, userlandPackages...); err != nil {
		return "", err
	}
	if err := os.Rename(unpacked, dir); err != nil {
		return "", err
	}
	return sysroot(dir), archive.Remove()
}

// links adds the links at the top that stand for folders of usr.
func (s sysroot) links(a *cpio.Writer) error {
	for _, name := range []string{"bin", "lib", "lib64", "sbin"} {
		if _, err := s.walk(a, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// program adds a program by its name.
func (s sysroot) program(a *cpio.Writer, name string) error {
	for _, dir := range []string{"usr/bin", "usr/sbin", "bin", "sbin"} {
		p := path.Join("/", dir, name)
		// Not Stat: an absolute link of another root leads elsewhere here.
		if _, err := os.Lstat(s.local(p)); err == nil {
			return s.add(a, p)
		}
	}
	err := fmt.Errorf("no program %s in %s", name, s)
	if s != "/" {
		err = fmt.Errorf("%w (made of userlandPackages; remove it to have it made anew)", err)
	}
	return err
}

func (s sysroot) local(p string) string { return filepath.Join(string(s), p) }

// add adds the file at a path, the symbolic links on the way to it, and, if
// it is a dynamic program or library, what it is linked with.
func (s sysroot) add(a *cpio.Writer, name string) error {
	real, err := s.walk(a, name)
	if err != nil || a.Has(real) {
		return err
	}
	content, err := os.ReadFile(s.local(real))
	if err != nil {
		return err
	}
	a.File(real, 0o755, content)
	needed, err := linkedWith(content)
	if err != nil {
		return fmt.Errorf("%s: %w", s.local(real), err)
	}
	for _, lib := range needed {
		at, err := s.library(lib)
		if err != nil {
			return fmt.Errorf("%s: %w", s.local(real), err)
		}
		if err := s.add(a, at); err != nil {
			return err
		}
	}
	return nil
}

// walk follows symbolic links inside of the root, adds them, and returns the
// path without any.
func (s sysroot) walk(a *cpio.Writer, name string) (string, error) {
	at, rest := "/", strings.TrimPrefix(path.Clean("/"+name), "/")
	for range 200 {
		if rest == "" {
			return at, nil
		}
		first, after, _ := strings.Cut(rest, "/")
		next := path.Join(at, first)
		info, err := os.Lstat(s.local(next))
		if err != nil {
			return "", err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			at, rest = next, after
			continue
		}
		target, err := os.Readlink(s.local(next))
		if err != nil {
			return "", err
		}
		a.Link(next, target)
		if !path.IsAbs(target) {
			target = path.Join(at, target)
		}
		at, rest = "/", strings.TrimPrefix(path.Join(target, after), "/")
	}
	return "", fmt.Errorf("%s: too many symbolic links", name)
}

// linkedWith lists what a program asks for: its loader, as a path, and
// libraries by name. A file of another kind asks for nothing.
func linkedWith(content []byte) ([]string, error) {
	if !bytes.HasPrefix(content, []byte(elf.ELFMAG)) {
		return nil, nil
	}
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		loader := make([]byte, p.Filesz)
		if _, err := p.ReadAt(loader, 0); err != nil {
			return nil, err
		}
		needed = append(needed, strings.TrimRight(string(loader), "\x00"))
	}
	return needed, nil
}

// library finds a library by name where the loader does, or a path.
func (s sysroot) library(name string) (string, error) {
	if path.IsAbs(name) {
		return name, nil
	}
	for _, pattern := range []string{"usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib64", "lib64", "usr/lib", "lib"} {
		found, err := filepath.Glob(filepath.Join(s.local(pattern), name))
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return strings.TrimPrefix(found[0], strings.TrimSuffix(string(s), "/")), nil
		}
	}
	return "", fmt.Errorf("no library %s", name)
}

package image

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
	controlMax   = 1 << 20
	debMax       = 4 << 30 // bytes of all files of a package that are kept
)

// deb is what is wanted of a kernel's package, in a folder of its own.
type deb struct {
	name, version string
	kernel        string // file
	modules       string // folder; "" if the package has none

	size int64 // of what was kept
}

// unpackDeb lays a package's kernel and its modules into a folder. Of the
// package's names only what follows boot/ and lib/modules/ counts, and links
// are left out, so that nothing gets anywhere else.
func unpackDeb(ctx context.Context, file, dir string) (*deb, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	d := &deb{}
	if err := d.read(heeding{ctx, f}, root); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if d.kernel == "" {
		return nil, fmt.Errorf("%s: package %s has no boot/vmlinuz-*", file, d.name)
	}
	d.kernel = path.Join(dir, d.kernel)
	if d.modules != "" {
		d.modules = path.Join(dir, d.modules)
	}
	return d, nil
}

// read goes through the members of the package, which is an archive of ar.
func (d *deb) read(file io.Reader, to *os.Root) error {
	r := bufio.NewReaderSize(file, 1<<20)
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return errors.New("not a package of Debian")
	}
	seen := map[string]bool{}
	for {
		header := make([]byte, arHeaderSize)
		if _, err := io.ReadFull(r, header); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		name := strings.TrimSuffix(strings.TrimRight(string(header[:16]), " "), "/")
		size, err := strconv.ParseInt(strings.TrimRight(string(header[48:58]), " "), 10, 64)
		if err != nil || size < 0 || string(header[58:]) != "`\n" {
			return errors.New("damaged: no header of a member where one is due")
		}
		member := &io.LimitedReader{R: r, N: size}
		kind, _, _ := strings.Cut(name, ".")
		if seen[kind] && kind != "" {
			return fmt.Errorf("it has two members %s", kind)
		}
		seen[kind] = true
		switch kind {
		case "control":
			err = d.members(member, d.control)
		case "data":
			err = d.members(member, func(h *tar.Header, r io.Reader) error { return d.data(to, h, r) })
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		// What follows the end of a tar, and a filling byte.
		if _, err := io.CopyN(io.Discard, r, member.N+size%2); err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if err != nil && member.N > 0 {
			return io.ErrUnexpectedEOF
		}
	}
	for _, kind := range []string{"control", "data"} {
		if !seen[kind] {
			return fmt.Errorf("it has no member %s", kind)
		}
	}
	return nil
}

func (d *deb) members(r io.Reader, each func(*tar.Header, io.Reader) error) error {
	plain, err := decompress(r)
	if err != nil {
		return err
	}
	defer plain.Close()
	for t := tar.NewReader(plain); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(h, t); err != nil {
			return fmt.Errorf("%.200s: %w", h.Name, err)
		}
	}
}

func (d *deb) control(h *tar.Header, r io.Reader) error {
	if path.Clean(h.Name) != "control" {
		return nil
	}
	text, err := readAll(r, controlMax)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ": ")
		switch key {
		case "Package":
			d.name = value
		case "Version":
			d.version = value
		}
	}
	return nil
}

func (d *deb) data(to *os.Root, h *tar.Header, r io.Reader) error {
	name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
	name = strings.TrimPrefix(name, "usr/")
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	switch first, rest, _ := strings.Cut(name, "/"); {
	case first == "boot" && strings.HasPrefix(rest, "vmlinuz-") && !strings.Contains(rest, "/"):
		if d.kernel != "" {
			return errors.New("a second kernel")
		}
		name, d.kernel = "vmlinuz", "vmlinuz"
	case strings.HasPrefix(name, "lib/modules/"):
		release, rest, ok := strings.Cut(strings.TrimPrefix(name, "lib/modules/"), "/")
		if !ok || !isRelease(release) {
			return nil
		}
		if folder := path.Join("modules", release); d.modules == "" {
			d.modules = folder
		} else if d.modules != folder {
			return fmt.Errorf("modules of a second kernel, beside those of %s", path.Base(d.modules))
		}
		name = path.Join(d.modules, rest)
	default:
		return nil
	}
	if d.size += h.Size; h.Size > kernelMax || d.size > debMax {
		return fmt.Errorf("more than %s, or with what is before it more than %s", Size(kernelMax), Size(debMax))
	}
	if err := to.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// Package cpio writes the archives that Linux unpacks as its first file system.
package cpio

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"strings"
)

// File types of the mode in an archive.
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeLink = 0o120000
)

// Writer writes a cpio archive of the kind "newc", see the kernel's
// buffer-format document. A name is added once; that it is there already is no
// error. Parents are added before what lies in them. The first error ends it,
// and is that of Close.
type Writer struct {
	w    *bufio.Writer
	size int64
	ino  int
	has  map[string]bool
	err  error
}

// NewWriter begins an archive. All of it belongs to root and has no time.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: bufio.NewWriterSize(w, 1<<20), has: map[string]bool{"/": true}}
}

// Has tells whether a path, absolute and clean, was added.
func (a *Writer) Has(name string) bool { return a.has[name] }

// Dir adds a folder.
func (a *Writer) Dir(name string) { a.add(name, modeDir|0o755, "") }

// Link adds a symbolic link.
func (a *Writer) Link(name, target string) { a.add(name, modeLink|0o777, target) }

// File adds a file.
func (a *Writer) File(name string, perm int, content []byte) {
	a.add(name, modeFile|perm, string(content))
}

func (a *Writer) add(name string, mode int, content string) {
	name = path.Clean("/" + name)
	if a.has[name] {
		return
	}
	a.has[name] = true
	a.Dir(path.Dir(name))
	a.entry(strings.TrimPrefix(name, "/"), mode, content)
}

func (a *Writer) entry(name string, mode int, content string) {
	a.ino++
	nlink := 1
	if mode&modeDir == modeDir {
		nlink = 2
	}
	// Magic, inode, mode, user, group, links, time, size, two devices of two
	// numbers, length of the name with its NUL, check sum (none).
	fields := []int{a.ino, mode, 0, 0, nlink, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0}
	a.write("070701")
	for _, f := range fields {
		a.write(fmt.Sprintf("%08X", f))
	}
	a.write(name + "\x00")
	a.pad()
	a.write(content)
	a.pad()
}

// pad fills up to the next multiple of four.
func (a *Writer) pad() { a.write("\x00\x00\x00"[:-a.size&3]) }

func (a *Writer) write(s string) {
	if a.err != nil {
		return
	}
	n, err := a.w.WriteString(s)
	a.size, a.err = a.size+int64(n), err
}

// Close ends the archive; w stays open.
func (a *Writer) Close() error {
	a.entry("TRAILER!!!", 0, "")
	if a.err != nil {
		return a.err
	}
	return a.w.Flush()
}

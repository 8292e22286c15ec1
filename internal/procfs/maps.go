package procfs

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Mapped are files that processes have mapped so that they can change them
// without a call: shared and writable.
type Mapped struct {
	files map[file]bool
	paths map[string]bool
}

type file struct {
	major, minor uint32
	inode        uint64
}

// Has tells whether a file is among them: by its number, or by its path, for
// some file systems show processes another device than stat(2) does.
func (m Mapped) Has(path string, major, minor uint32, inode uint64) bool {
	return m.files[file{major, minor, inode}] || m.paths[path]
}

// ReadMapped looks at all processes whose maps this one may read: with the
// rights of root at all. Where there is no /proc it finds none.
func ReadMapped() Mapped {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.ParseUint(e.Name(), 10, 31); err == nil {
			pids = append(pids, int(pid))
		}
	}
	return MappedBy(pids)
}

// MappedBy looks at these processes.
func MappedBy(pids []int) Mapped {
	m := Mapped{map[file]bool{}, map[string]bool{}}
	for _, pid := range pids {
		name := strconv.Itoa(pid)
		dir := filepath.Join("/proc", name)
		if m.readFile(dir) {
			continue
		}
		// A process goes on when its first thread has ended, and has its memory
		// in the others.
		threads, _ := os.ReadDir(filepath.Join(dir, "task"))
		for _, t := range threads {
			if t.Name() != name && m.readFile(filepath.Join(dir, "task", t.Name())) {
				break
			}
		}
	}
	return m
}

// readFile tells whether there was something to read.
func (m Mapped) readFile(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "maps"))
	if err != nil {
		return false
	}
	defer f.Close()
	return m.read(f)
}

// read takes what /proc/PID/maps holds, which proc_pid_maps(5) describes.
func (m Mapped) read(r io.Reader) (some bool) {
	in := bufio.NewScanner(r)
	for in.Scan() {
		some = true
		line := in.Bytes()
		// begin-end rw-s offset major:minor inode path
		_, rest, _ := bytes.Cut(line, []byte(" "))
		if len(rest) < 4 || rest[1] != 'w' || rest[3] != 's' {
			continue
		}
		fields := strings.SplitN(string(rest), " ", 5)
		if len(fields) < 5 {
			continue
		}
		major, minor, _ := strings.Cut(fields[2], ":")
		a, errA := strconv.ParseUint(major, 16, 32)
		b, errB := strconv.ParseUint(minor, 16, 32)
		inode, errI := strconv.ParseUint(fields[3], 10, 64)
		if errA != nil || errB != nil || errI != nil || inode == 0 {
			continue
		}
		m.files[file{uint32(a), uint32(b), inode}] = true
		// A file without its name has this behind it, and nobody else's path does.
		if path := strings.TrimLeft(fields[4], " "); strings.HasPrefix(path, "/") {
			m.paths[strings.ReplaceAll(path, `\012`, "\n")] = true
		}
	}
	return some
}

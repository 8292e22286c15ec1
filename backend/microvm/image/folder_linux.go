package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tree reads a folder as a root file system, without what files hold, and
// takes a digest of all that tells whether anything in it has changed.
func (f *folderSource) tree(ctx context.Context) (*tree, string, error) {
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return nil, "", err
	}
	defer root.Close()
	t := newTree()
	f.files, f.said = nil, map[string]int{}
	digest := sha256.New()
	first := map[[2]uint64]string{} // names of files with several, by device and inode
	var device uint64
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return errors.New("no inode")
		}
		target := ""
		if info.Mode().Type() == fs.ModeSymlink {
			if target, err = root.Readlink(name); err != nil {
				return err
			}
		}
		fmt.Fprintf(digest, "%q %o %d:%d %d %d %d %d %d.%d %d.%d %q\n", name, st.Mode, st.Uid, st.Gid, st.Size, st.Dev, st.Ino,
			st.Rdev, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec, target)
		if name == "." {
			device = uint64(st.Dev)
		}
		if info.Mode().Type() == fs.ModeSocket {
			f.said["sockets"]++
			return nil
		}
		id := [2]uint64{uint64(st.Dev), st.Ino}
		if st.Nlink > 1 && !info.IsDir() {
			if other, ok := first[id]; ok {
				return t.link(name, other, 0)
			}
			first[id] = name
		}
		n := &node{
			mode: int64(st.Mode & 0o7777), uid: int(st.Uid), gid: int(st.Gid), target: target,
			time: time.Unix(int64(st.Mtim.Sec), int64(st.Mtim.Nsec)), xattrs: map[string]string{},
		}
		switch info.Mode().Type() {
		case 0:
			n.kind, n.size, n.content = tar.TypeReg, info.Size(), len(f.files)
			f.files = append(f.files, folderFile{name, st.Dev, st.Ino, info.Size(), info.ModTime()})
		case fs.ModeDir:
			n.kind = tar.TypeDir
		case fs.ModeSymlink:
			n.kind = tar.TypeSymlink
		case fs.ModeNamedPipe:
			n.kind = tar.TypeFifo
		case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
			n.kind = tar.TypeBlock
			if info.Mode()&fs.ModeCharDevice != 0 {
				n.kind = tar.TypeChar
			}
			n.major, n.minor = int64(unix.Major(uint64(st.Rdev))), int64(unix.Minor(uint64(st.Rdev)))
		default:
			return fmt.Errorf("%s: %s", name, info.Mode())
		}
		if err := n.readXattrs(filepath.Join(f.dir, name)); err != nil {
			return fmt.Errorf("%s: extended attributes: %w", name, err)
		}
		if err := n.check(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := t.put(name, n, 0); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if info.IsDir() && uint64(st.Dev) != device {
			// /proc of a running system, say, is no part of it.
			f.said["file systems mounted in it, which are left empty"]++
			return fs.SkipDir
		}
		return nil
	})
	return t, hex.EncodeToString(digest.Sum(nil)), err
}

// readXattrs asks by path, of the name itself: there is no other way for
// a link or a device.
func (n *node) readXattrs(file string) error {
	list := make([]byte, 64<<10) // the most that the kernel has
	size, err := unix.Llistxattr(file, list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	for name := range bytes.SplitSeq(list[:size], []byte{0}) {
		// Labels that the host's policy put there would mean nothing in a guest.
		if key := string(name); keptXattr(key) && key != "security.selinux" && key != "security.ima" && key != "security.evm" {
			value := make([]byte, 64<<10)
			size, err := unix.Lgetxattr(file, key, value)
			if err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			n.xattrs[key] = string(value[:size])
		}
	}
	return nil
}

// contents reads files. One that is another by now is an error: what the tree
// says of it is no longer true.
func (f *folderSource) contents(ctx context.Context, put func(int, io.Reader) error) error {
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for i, file := range f.files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := file.read(root, func(r io.Reader) error { return put(i, r) }); err != nil {
			return fmt.Errorf("%s: %w", path.Join(f.dir, file.name), err)
		}
	}
	return nil
}

func (f folderFile) read(root *os.Root, put func(io.Reader) error) error {
	file, err := root.OpenFile(f.name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Dev != f.dev || st.Ino != f.ino || info.Size() != f.size || !info.ModTime().Equal(f.time) {
		return errors.New("it was changed while the image was built")
	}
	return put(file)
}

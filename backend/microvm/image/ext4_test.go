package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ext4Of writes a root file system and returns its file.
func ext4Of(t *testing.T, limit int64, l *layers) (string, error) {
	t.Helper()
	tr, err := l.tree(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "root")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return name, writeExt4(context.Background(), f, tr, l.contents, limit)
}

// debugfs is another's reader of ext4.
func debugfs(t *testing.T, image string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("debugfs")
	for _, sbin := range []string{"/usr/sbin/debugfs", "/sbin/debugfs"} {
		if _, statErr := os.Stat(sbin); err != nil && statErr == nil {
			path, err = sbin, nil
		}
	}
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") == "" {
		t.Skip("no debugfs (package e2fsprogs)")
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-R", strings.Join(args, " "), image)
	cmd.Env = append(os.Environ(), "PAGER=cat", "DEBUGFS_PAGER=__none__")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	// It says its version first, whatever becomes of the rest.
	_, said, _ := strings.Cut(complaints.String(), "\n")
	if err != nil || said != "" {
		t.Errorf("debugfs %s: %v, %s", args, err, said)
	}
	return string(out)
}

func TestExt4(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 3<<16)
	script := file("usr/bin/script", "#!/bin/sh\n")
	script.Mode, script.Uid, script.Gid = 0o4755, 1000, 70000
	script.PAXRecords = map[string]string{paxXattr + "security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}
	tmp := dir("tmp/")
	tmp.Mode = 0o1777
	root := dir("./")
	root.Mode = 0o750
	l := layersOf(
		makeTar(root, tmp, script, file("hidden", "x"), file("etc/big", big), file("empty", "")),
		packZstd(makeTar(hardlink("a-link", "usr/bin/script"), symlink("bin", "usr/bin"), symlink("long", strings.Repeat("t/", 100)+"t"),
			file(".wh.hidden", ""), file("etc/\xff", "bytes"),
			entry{tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3}, ""},
			entry{tar.Header{Typeflag: tar.TypeFifo, Name: "pipe", Mode: 0o600}, ""})),
	)
	image, err := ext4Of(t, DefaultRootFSSize, l)
	if err != nil {
		t.Fatal(err)
	}
	if got := debugfs(t, image, "cat /etc/big"); got != big {
		t.Errorf("etc/big has %d bytes, want %d", len(got), len(big))
	}
	if got := debugfs(t, image, "ls -p /etc"); !strings.Contains(got, "/\xff/5/") {
		t.Errorf("no name of one byte, 5 bytes long, in %q", got)
	}
	for _, tc := range []struct{ name, want string }{
		{"/", "Type: directory Mode: 0750"},
		{"/tmp", "Type: directory Mode: 01777"},
		{"/usr", "Type: directory Mode: 0755"},
		{"/usr/bin/script", "Type: regular Mode: 04755"},
		{"/usr/bin/script", "User: 1000 Group: 70000"},
		{"/usr/bin/script", "Size: 10"},
		{"/usr/bin/script", "Links: 2"},
		{"/usr/bin/script", "security.capability (20)"},
		{"/usr/bin/script", "mtime: 0x6553f100"},
		{"/a-link", "Links: 2"},
		{"/bin", `Fast link dest: "usr/bin"`},
		{"/long", "Type: symlink"},
		{"/long", "Size: 201"},
		{"/dev/null", "Type: character special Mode: 0666"},
		{"/dev/null", "01:03"},
		{"/pipe", "Type: FIFO Mode: 0600"},
		{"/empty", "Size: 0"},
	} {
		if got := strings.Join(strings.Fields(debugfs(t, image, "stat "+tc.name)), " "); !strings.Contains(got, tc.want) {
			t.Errorf("%s: no %q in %s", tc.name, tc.want, got)
		}
	}
	names := strings.Fields(debugfs(t, image, "ls -p /"))
	var got []string
	for _, line := range names {
		if f := strings.Split(line, "/"); len(f) > 5 && f[5] != "" {
			got = append(got, f[5])
		}
	}
	if len(got) != 12 || strings.Contains(strings.Join(got, " "), "hidden") { // with ., .. and lost+found
		t.Errorf("the root has %q", got)
	}
}

// The same files are the same bytes: nothing of the day or of the order of a
// map is in them.
func TestExt4IsReproducible(t *testing.T) {
	sums := map[string]bool{}
	for range 3 {
		l := layersOf(makeTar(file("deep/er/f", "1"), file("a", "2"), hardlink("b", "a"), symlink("c", "d"), file("deep/g", "3")))
		image, err := ext4Of(t, DefaultRootFSSize, l)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		sums[fmt.Sprintf("%x", sha256.Sum256(data))] = true
	}
	if len(sums) != 1 {
		t.Errorf("%d kinds of bytes", len(sums))
	}
}

func TestExt4Limit(t *testing.T) {
	l := layersOf(makeTar(file("f", strings.Repeat("x", 3<<20))))
	for _, limit := range []int64{1 << 20, 3<<20 + 4096} { // said before anything is written, and while it is
		_, err := ext4Of(t, limit, l)
		var hinted *Error
		if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint, "--rootfs-size") {
			t.Errorf("%d: %v", limit, err)
		}
	}
	if _, err := ext4Of(t, 8<<20, l); err != nil {
		t.Error(err)
	}
	sparse := entry{tar.Header{Typeflag: tar.TypeReg, Name: "f"}, ""}
	tr, err := layersOf(makeTar(sparse)).tree(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tr.root.children["f"].size = 1 << 60
	if err := writeExt4(context.Background(), nil, tr, nil, DefaultRootFSSize); err == nil {
		t.Error("2^60 bytes were written")
	}
}

// What is read a second time may be something else by then.
func TestExt4Changed(t *testing.T) {
	first, second := makeTar(file("a", "12345")), makeTar(file("a", "1234"))
	opened := 0
	l := &layers{open: []func() (io.ReadCloser, error){func() (io.ReadCloser, error) {
		if opened++; opened > 1 {
			return io.NopCloser(bytes.NewReader(second)), nil
		}
		return io.NopCloser(bytes.NewReader(first)), nil
	}}}
	if _, err := ext4Of(t, DefaultRootFSSize, l); !complains(err, "./a has 4 bytes, and had 5") {
		t.Error(err)
	}
	second, opened = makeTar(), 0
	if _, err := ext4Of(t, DefaultRootFSSize, l); !complains(err, "1 files have gone") {
		t.Error(err)
	}
}

func TestExt4IsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	l := layersOf(makeTar(file("f", strings.Repeat("x", 3<<20))))
	tr, err := l.tree(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "root"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	why := errors.New("enough")
	cancel(why)
	if err := writeExt4(ctx, f, tr, l.contents, DefaultRootFSSize); !errors.Is(err, why) {
		t.Error(err)
	}
}

// A file of several names takes its room once.
func TestExt4CountsLinksOnce(t *testing.T) {
	const size = 3 << 20
	entries := []entry{file("f", strings.Repeat("x", size))}
	for i := range 4 {
		entries = append(entries, hardlink(fmt.Sprint("link", i), "f"))
	}
	if _, err := ext4Of(t, 2*size, layersOf(makeTar(entries...))); err != nil {
		t.Error(err)
	}
}

//go:build unix

package workspace

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// put makes a folder of names and contents: "x/" is a folder, "->y" a link.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range files {
			if !yield(n) {
				return
			}
		}
	}) {
		content, at := files[name], filepath.Join(dir, name)
		var err error
		target, link := strings.CutPrefix(content, "->")
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(at, 0o755)
		case link:
			err = os.Symlink(target, at)
		default:
			if err = os.MkdirAll(filepath.Dir(at), 0o755); err == nil {
				err = os.WriteFile(at, []byte(content), 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// got is what put would have to be told to make the folder.
func got(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || at == dir {
			return err
		}
		name, _ := filepath.Rel(dir, at)
		switch {
		case d.IsDir():
			files[name+"/"] = ""
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(at)
			files[name] = "->" + target
			return err
		default:
			b, err := os.ReadFile(at)
			files[name] = string(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func unpacked(t *testing.T, from string) (dir string, s *Snapshot, names map[string]bool) {
	t.Helper()
	var b bytes.Buffer
	names, _, err := Pack(&b, from)
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "workspace")
	s, err = Unpack(&b, dir, Owner{os.Getuid(), os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	return dir, s, names
}

func TestRoundTrip(t *testing.T) {
	host := t.TempDir()
	put(t, host, map[string]string{
		"a": "1", "b/c": "2", "b/d/e": "3", "gone": "4", "dir/x": "5", "dir/y": "6", "link": "->/etc/passwd", "same": "7",
		"becomes-dir": "8", "becomes-file/z": "9", "empty/": "",
	})
	if err := os.Chmod(filepath.Join(host, "a"), 0o751); err != nil {
		t.Fatal(err)
	}
	guest, before, names := unpacked(t, host)
	if diff := cmp.Diff(got(t, host), got(t, guest)); diff != "" {
		t.Fatal(diff)
	}
	if info, _ := os.Stat(filepath.Join(guest, "a")); info.Mode().Perm() != 0o751 {
		t.Error(info.Mode())
	}

	// Nothing done, nothing changed: not by reading, nor by writing the same.
	now := time.Now().Add(time.Hour)
	_ = os.WriteFile(filepath.Join(guest, "same"), []byte("7"), 0o644)
	_ = os.Chtimes(filepath.Join(guest, "same"), now, now)
	if d, err := before.Changes(io.Discard); err != nil || len(d.Added)+len(d.Changed)+len(d.Deleted)+len(d.Refused) > 0 {
		t.Fatalf("%+v, %v", d, err)
	}

	for _, name := range []string{"gone", "dir", "becomes-dir", "becomes-file"} {
		if err := os.RemoveAll(filepath.Join(guest, name)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, guest, map[string]string{
		"b/c": "changed", "new/deep/file": "n", "becomes-dir/q": "q", "becomes-file": "f", "newlink": "->a", "newdir/": "",
	})
	if err := os.Chmod(filepath.Join(guest, "b/d/e"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(guest, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	var came, kept bytes.Buffer
	said, err := before.Changes(&came)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Receive(&came, &kept, 1<<20, names)
	if err != nil {
		t.Fatal(err)
	}
	d.Delete(said.Deleted, names)
	want := &Diff{
		Added:   []string{"becomes-dir/q", "new", "new/deep", "new/deep/file", "newdir"},
		Changed: []string{"b/c", "b/d/e", "becomes-dir", "becomes-file"},
		Deleted: []string{"becomes-file/z", "dir", "dir/x", "dir/y", "gone"},
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Skipped{{"fifo", "neither a file nor a folder"}, {"newlink", "neither a file nor a folder"}}, said.Refused); diff != "" {
		t.Error(diff)
	}
	if err := Apply(bytes.NewReader(kept.Bytes()), host, d); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(guest, "fifo")); err != nil {
		t.Fatal(err)
	}
	after := got(t, guest)
	delete(after, "newlink")
	if diff := cmp.Diff(after, got(t, host)); diff != "" {
		t.Error(diff)
	}
	if info, _ := os.Stat(filepath.Join(host, "b/d/e")); info.Mode().Perm() != 0o600 {
		t.Error(info.Mode())
	}
}

// A folder without the right to write in it arrives all the same.
func TestReadOnlyFolder(t *testing.T) {
	host := t.TempDir()
	put(t, host, map[string]string{"d/f": "1"})
	if err := os.Chmod(filepath.Join(host, "d"), 0o555); err != nil {
		t.Fatal(err)
	}
	guest, _, _ := unpacked(t, host)
	if info, _ := os.Stat(filepath.Join(guest, "d")); info.Mode().Perm() != 0o555 {
		t.Error(info.Mode())
	}
	_ = os.Chmod(filepath.Join(host, "d"), 0o755)
	_ = os.Chmod(filepath.Join(guest, "d"), 0o755)
}

func TestPackSkips(t *testing.T) {
	host := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(host, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, skipped, err := Pack(io.Discard, host)
	if diff := cmp.Diff([]Skipped{{"fifo", "neither a file nor a folder nor a link"}}, skipped); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, _, err := Pack(io.Discard, filepath.Join(host, "nope")); err == nil {
		t.Error("a folder that is not there")
	}
}

func archive(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg && h.Size == 0 {
			h.Size = 1
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			_, _ = w.Write(make([]byte, h.Size))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReceiveRefuses(t *testing.T) {
	file := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o6777} }
	out := "its name leads out of the workspace"
	for _, c := range []struct {
		h      []tar.Header
		reason string
	}{
		{[]tar.Header{file("/etc/passwd")}, out},
		{[]tar.Header{file("../x")}, out},
		{[]tar.Header{file("a/../../x")}, out},
		{[]tar.Header{file("a/../x")}, out},
		{[]tar.Header{file(".")}, out},
		{[]tar.Header{file(strings.Repeat("a/", 3000) + "b")}, "its name is too long"},
		{[]tar.Header{file("a"), file("a")}, "it comes twice"},
		{[]tar.Header{file("a"), file("a/b")}, "its name goes through a file"},
		{[]tar.Header{{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "/"}}, "neither a file nor a folder"},
		{[]tar.Header{{Typeflag: tar.TypeLink, Name: "l", Linkname: "a"}}, "neither a file nor a folder"},
		{[]tar.Header{{Typeflag: tar.TypeChar, Name: "c"}}, "neither a file nor a folder"},
		{[]tar.Header{{Typeflag: tar.TypeBlock, Name: "c"}}, "neither a file nor a folder"},
		{[]tar.Header{{Typeflag: tar.TypeFifo, Name: "c"}}, "neither a file nor a folder"},
	} {
		var kept bytes.Buffer
		d, err := Receive(bytes.NewReader(archive(t, c.h...)), &kept, 1<<20, nil)
		if err != nil || len(d.Refused) != 1 || d.Refused[0].Reason != c.reason {
			t.Errorf("%+v: %+v, %v", c.h, d, err)
			continue
		}
		in := tar.NewReader(&kept)
		for range len(c.h) - 1 {
			if h, err := in.Next(); err != nil || h.Mode&^0o777 != 0 {
				t.Errorf("%+v, %v", h, err)
			}
		}
		if h, err := in.Next(); err != io.EOF {
			t.Errorf("%+v was kept", h)
		}
	}
	d := &Diff{}
	d.Delete([]string{"a", "../b", "a"}, map[string]bool{"a": true})
	if !slices.Equal(d.Deleted, []string{"a"}) || len(d.Refused) != 1 {
		t.Errorf("%+v", d)
	}
}

func TestReceiveLimits(t *testing.T) {
	big := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 2000})
	if _, err := Receive(bytes.NewReader(big), io.Discard, 1999, nil); err == nil {
		t.Error("it was not too large")
	}
	if _, err := Receive(bytes.NewReader(big[:1000]), io.Discard, 1<<20, nil); err == nil {
		t.Error("half of one was taken")
	}
	if _, err := Receive(strings.NewReader(strings.Repeat("x", 5000)), io.Discard, 1<<20, nil); err == nil {
		t.Error("nonsense was taken")
	}
}

// A link in the folder that leads out of it is not followed.
func TestApplyStaysInside(t *testing.T) {
	outside, host := t.TempDir(), t.TempDir()
	put(t, outside, map[string]string{"victim": "as it was"})
	put(t, host, map[string]string{"way": "->" + outside, "file": "->" + filepath.Join(outside, "victim")})
	kept := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "way/victim", Mode: 0o644})
	if err := Apply(bytes.NewReader(kept), host, &Diff{}); err == nil {
		t.Error("it went through")
	}
	if err := Apply(bytes.NewReader(archive(t)), host, &Diff{Deleted: []string{"way/victim"}}); err == nil {
		t.Error("it was deleted")
	}
	// A link itself is replaced.
	if err := Apply(bytes.NewReader(archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "file", Mode: 0o644})), host, &Diff{}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]string{"victim": "as it was"}, got(t, outside)); diff != "" {
		t.Error(diff)
	}
}

func FuzzReceive(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 1})
	_, _ = w.Write([]byte("x"))
	_ = w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		var kept bytes.Buffer
		d, err := Receive(bytes.NewReader(data), &kept, 1<<16, map[string]bool{"a": true})
		if err != nil {
			return
		}
		dir := t.TempDir()
		_ = Apply(&kept, filepath.Join(dir), d)
	})
}

//go:build unix

package attest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/receipt"
)

// written is the entry of a file as it stands there now.
func written(t testing.TB, path string) receipt.FileEntry {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return receipt.FileEntry{Path: path, Written: true, Final: &receipt.Final{
		Inode: uint64(st.Ino), Size: uint64(st.Size), ChangedAt: receipt.At(time.Unix(st.Ctim.Unix())),
	}}
}

func write(t testing.TB, path, text string) receipt.FileEntry {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return written(t, path)
}

// later lets enough time pass for a file's ctime to be another one.
func later(t testing.TB) { time.Sleep(20 * time.Millisecond) }

func TestFilesAreSubjects(t *testing.T) {
	dir := t.TempDir()
	files := []receipt.FileEntry{
		{Path: dir + "/a-read-one", Read: true},
		write(t, dir+"/empty", ""),
		write(t, dir+"/text \"é\u2028", "text"),
		{Path: dir + "/written-but-gone", Written: true},
	}
	run := signFiles(t, files...)
	s, p := run.statement(t)
	want := []Subject{
		{"receipt.json", Digest{s.Subject[0].Digest.SHA256}},
		{"stdout", Digest{sha("hello\n")}},
		{"stderr", Digest{sha("")}},
		{dir + "/empty", Digest{sha("")}},
		{dir + "/text \"é\u2028", Digest{sha("text")}},
	}
	if !slices.Equal(s.Subject, want) {
		t.Errorf("%v\nwant %v", s.Subject, want)
	}
	if list := p["excluded"].([]any); len(list) != 0 || run.Subjects != 5 || run.Excluded != 0 {
		t.Errorf("excluded: %v, %d, %d", list, run.Subjects, run.Excluded)
	}
	if _, failed := run.verify(t, func(o *Options) { o.Files = true }); failed != nil {
		t.Error(failed)
	}
}

// Each of these is another file, or another content, or might be.
func TestFilesAreExcluded(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(path string, f *receipt.FileEntry) error
	}{
		{"by the run's own account", "changed since the run's last write", func(_ string, f *receipt.FileEntry) error {
			f.Final.Changed = true
			return nil
		}},
		{"gone", "gone", func(path string, _ *receipt.FileEntry) error { return os.Remove(path) }},
		{"folder is a file", "gone", func(path string, f *receipt.FileEntry) error { f.Path += "/x"; return nil }},
		{"longer", "changed since the run ended", func(path string, _ *receipt.FileEntry) error { return os.Truncate(path, 5) }},
		{"same size", "changed since the run ended", func(path string, _ *receipt.FileEntry) error {
			return os.WriteFile(path, []byte("TEXT"), 0)
		}},
		{"same size and mtime", "changed since the run ended", func(path string, _ *receipt.FileEntry) error {
			info, err := os.Stat(path)
			return errors.Join(err, os.WriteFile(path, []byte("TEXT"), 0), os.Chtimes(path, info.ModTime(), info.ModTime()))
		}},
		{"mode", "changed since the run ended", func(path string, _ *receipt.FileEntry) error { return os.Chmod(path, 0o600) }},
		{"copy of it", "changed since the run ended", func(path string, _ *receipt.FileEntry) error {
			return errors.Join(os.WriteFile(path+".new", []byte("text"), 0o644), os.Rename(path+".new", path))
		}},
		{"inode", "changed since the run ended", func(_ string, f *receipt.FileEntry) error { f.Final.Inode++; return nil }},
		{"a nanosecond", "changed since the run ended", func(_ string, f *receipt.FileEntry) error {
			f.Final.ChangedAt = receipt.At(f.Final.ChangedAt.Add(1))
			return nil
		}},
		{"link to it", "no regular file", func(path string, _ *receipt.FileEntry) error {
			return errors.Join(os.Rename(path, path+".old"), os.Symlink(path+".old", path))
		}},
		{"FIFO", "no regular file", func(path string, _ *receipt.FileEntry) error {
			return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o644))
		}},
		{"folder", "no regular file", func(path string, _ *receipt.FileEntry) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o755))
		}},
		{"long name", "not readable: file name too long", func(_ string, f *receipt.FileEntry) error {
			f.Path += strings.Repeat("x", 1000)
			return nil
		}},
		{"no UTF-8", "its name is not UTF-8", func(_ string, f *receipt.FileEntry) error { f.Path += "\xff"; return nil }},
		{"other mounts", "in another mount namespace", func(_ string, f *receipt.FileEntry) error { f.OtherMounts = true; return nil }},
	} {
		dir := t.TempDir()
		path := dir + "/b"
		other, entry, third := write(t, dir+"/a", "a"), write(t, path, "text"), write(t, dir+"/c", "c")
		later(t)
		if err := c.change(path, &entry); err != nil {
			t.Fatal(err)
		}
		run := signFiles(t, other, entry, third)
		s, p := run.statement(t)
		// What it is called in the receipt.
		name := receipt.Text(entry.Path)
		want := fmt.Sprint([]any{map[string]any{"path": name, "reason": c.want}})
		if got := fmt.Sprint(p["excluded"]); got != want || run.Excluded != 1 {
			t.Errorf("%s: excluded is %s, want %s", c.name, got, want)
		}
		if n := len(s.Subject); n != 5 || s.Subject[3].Name != dir+"/a" || s.Subject[4].Name != dir+"/c" {
			t.Errorf("%s: the subjects are %v", c.name, s.Subject)
		}
		report, failed := run.verify(t, func(o *Options) { o.Files = true })
		if failed != nil {
			t.Errorf("%s: %v", c.name, failed)
		}
		if got := detail(report, "files"); got != "2 of 2 have their signed SHA-256; 1 more not signed" {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func detail(r *Report, name string) string {
	for _, c := range r.Checks {
		if c.Name == name {
			return c.Detail
		}
	}
	return ""
}

// during does something when a file is being read for the nth time.
type during struct {
	context.Context
	n  *int
	do func()
}

func (d during) Err() error {
	if *d.n--; *d.n == 0 {
		d.do()
	}
	return d.Context.Err()
}

// A file that is changed between the looks before and after it was read has
// no digest.
func TestFileChangesWhileItIsRead(t *testing.T) {
	path := t.TempDir() + "/file"
	entry := write(t, path, strings.Repeat("x", 1<<20))
	later(t)
	n := 2
	ctx := during{context.Background(), &n, func() {
		if err := os.Chmod(path, 0o600); err != nil {
			t.Error(err)
		}
	}}
	digest, reason, err := newHasher(ctx).final(&entry)
	if digest != "" || reason != reasonLater || err != nil || n > 0 {
		t.Errorf("%q, %q, %v; %d", digest, reason, err, n)
	}
}

// A sparse file of 200 GiB takes minutes to read.
func TestSigningEnds(t *testing.T) {
	path := t.TempDir() + "/large"
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(200 << 30); err != nil {
		t.Fatal(err)
	}
	rec := &receipt.Receipt{Filesystem: receipt.Filesystem{Files: []receipt.FileEntry{written(t, path)}}}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(50*time.Millisecond, func() { cancel(gone) })
	began := time.Now()
	if _, err := Sign(ctx, testKey(t, Ed25519), "r", sha(""), rec); !errors.Is(err, gone) {
		t.Error(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Error(took)
	}
}

// A file system need not answer at all.
func TestSigningDoesNotWaitForAFile(t *testing.T) {
	entry := write(t, t.TempDir()+"/file", "text")
	never := make(chan struct{})
	defer close(never)
	ctx, cancel := context.WithCancel(context.Background())
	n := 1 // the first look at the context: before the first read
	stuck := during{ctx, &n, func() { cancel(); <-never }}
	s := new(Statement)
	done := make(chan error)
	go func() { done <- newHasher(stuck).addFiles(s, new(Predicate), []receipt.FileEntry{entry}) }()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits")
	}
}

// What does not fit into the bound is no subject, and what stands behind it is.
func TestLargeFiles(t *testing.T) {
	dir := t.TempDir()
	sparse := func(name string, size int64) receipt.FileEntry {
		write(t, dir+name, "")
		if err := os.Truncate(dir+name, size); err != nil {
			t.Fatal(err)
		}
		return written(t, dir+name)
	}
	run := signFiles(t, write(t, dir+"/a", "a"), sparse("/b", 1<<40), write(t, dir+"/c", "c"))
	s, p := run.statement(t)
	if n := len(s.Subject); n != 5 || s.Subject[3].Name != dir+"/a" || s.Subject[4].Name != dir+"/c" {
		t.Errorf("the subjects are %v", s.Subject)
	}
	if got := fmt.Sprint(p["excluded"]); got != "[map[path:"+dir+"/b reason:too large to be read]]" {
		t.Error(got)
	}
	// All of them together count.
	h := newHasher(context.Background())
	h.left = 10
	var reasons []string
	for _, size := range []int64{4, 7, 6, 1, 0} {
		f := sparse("/d", size)
		digest, reason, err := h.final(&f)
		if (digest == "") != (reason != "") || err != nil {
			t.Errorf("%d: %q, %q, %v", size, digest, reason, err)
		}
		reasons = append(reasons, reason)
	}
	if want := []string{"", reasonLarge, "", reasonLarge, ""}; !slices.Equal(reasons, want) {
		t.Errorf("%q", reasons)
	}
}

// Nothing is read beyond the size that a file had: it may grow faster than it is
// read.
func TestGrowingFile(t *testing.T) {
	path := t.TempDir() + "/file"
	write(t, path, "text and more")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := digestOf(context.Background(), f, 4); got != sha("text") || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestManyFiles(t *testing.T) {
	dir := t.TempDir()
	var files []receipt.FileEntry
	for i := range 1030 {
		files = append(files, write(t, filepath.Join(dir, fmt.Sprintf("%04d", i)), fmt.Sprint(i)))
	}
	files[7].Final.Changed = true
	run := signFiles(t, files...)
	s, p := run.statement(t)
	// The receipt and two outputs, and one that was excluded.
	if n := len(s.Subject); n != MaxSubjects || s.Subject[n-1].Name != dir+"/1021" || s.Subject[n-1].Digest.SHA256 != sha("1021") {
		t.Errorf("%d subjects, the last is %v", n, s.Subject[n-1])
	}
	if fmt.Sprint(p["omitted"]) != "8" || len(p["excluded"].([]any)) != 1 || run.Excluded != 9 {
		t.Errorf("omitted %v, excluded %v", p["omitted"], p["excluded"])
	}
	report, failed := run.verify(t, func(o *Options) { o.Files = true })
	if failed != nil {
		t.Error(failed)
	}
	if got := detail(report, "subjects"); got != "the receipt, its outputs, and 1021 of the 1030 files that the run wrote and left" {
		t.Error(got)
	}
}

// A receipt of hostile make must not make a bundle that nobody can read.
func TestManyLongNames(t *testing.T) {
	var files []receipt.FileEntry
	for i := range 3000 {
		path := fmt.Sprintf("/%04d/%s", i, strings.Repeat("\x01", 4000))
		files = append(files, receipt.FileEntry{Path: path, Final: &receipt.Final{}})
	}
	run := signFiles(t, files...)
	_, p := run.statement(t)
	if n := len(p["excluded"].([]any)); n == 0 || n > maxNames/4000 || fmt.Sprint(p["omitted"]) != fmt.Sprint(3000-n) {
		t.Errorf("%d excluded, %v omitted", n, p["omitted"])
	}
	if len(run.Bundle) > MaxBundle {
		t.Errorf("%d bytes", len(run.Bundle))
	}
}

//go:build linux || darwin

package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func opened(t *testing.T, opts Options) *Writer {
	t.Helper()
	if opts.State == "" {
		opts.State = filepath.Join(t.TempDir(), "state")
	}
	w := New(opts)
	if err := w.Open(Open{Layout: "l", Receipt: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Synced(); err != nil {
		t.Fatal(err)
	}
	return w
}

// contents reads the only journal in a folder of the state folder.
func contents(t *testing.T, w *Writer, folder string) (list []string, c *Contents) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(w.opts.State, folder, w.run+suffix))
	if err != nil {
		t.Fatal(err)
	}
	list, c, err = frames(data)
	if err != nil {
		t.Fatal(err)
	}
	return list, c
}

// recordsOf are the records of a journal, in order.
func recordsOf(t *testing.T, path string) (records []string, c *Contents) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err = Read(f, func(f Frame) error {
		if r, ok := f.Value.(Records); ok {
			return r.Each(func(rec []byte) { records = append(records, string(rec)) })
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return records, c
}

func TestWriter(t *testing.T) {
	w := opened(t, Options{Output: "/out\xff"})
	list, c := contents(t, w, runsFolder)
	if len(list) != 1 || c.Cut != nil || c.Open.Run != w.Run() || c.Open.Output != "/out\xff" || c.Open.Recorder.PID != os.Getpid() {
		t.Fatalf("%v, %+v", list, c.Open)
	}
	w.Record([]byte("a"))
	w.Record([]byte("b"))
	w.Append(KindStarted, Started{PID: 5}) // behind the records
	w.Record([]byte("c"))
	deadline := time.Now().Add(10 * time.Second)
	for {
		// Nobody asked for it: within batchPause, give or take the scheduler.
		list, c = contents(t, w, runsFolder)
		if len(list) == 4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not written: %v", list)
		}
		time.Sleep(time.Millisecond)
	}
	if !strings.HasSuffix(list[1], `records "a" "b"`) || !strings.Contains(list[2], `"pid":5`) || !strings.HasSuffix(list[3], `records "c"`) || c.Cut != nil {
		t.Errorf("%v", list)
	}
	path, err := w.Keep(End{ExitCode: 4})
	if err != nil || w.Err() != nil {
		t.Fatal(err, w.Err())
	}
	w.Record([]byte("late"))
	w.Append(KindStarted, Started{})
	if _, c := contents(t, w, keptFolder); path != filepath.Join(w.opts.State, keptFolder, w.run+suffix) || c.End == nil || c.End.ExitCode != 4 || c.Cut != nil {
		t.Errorf("%s, %+v", path, c)
	}
	if list, err := List(w.opts.State); len(list) != 0 || err != nil {
		t.Errorf("a kept journal is listed: %v, %v", list, err)
	}
}

// It is for its owner alone, and named only when it is whole.
func TestWriterFiles(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	w := opened(t, Options{})
	for _, c := range []struct {
		path string
		mode os.FileMode
	}{{runsFolder, 0o700}, {filepath.Join(runsFolder, w.run+suffix), 0o600}} {
		info, err := os.Stat(filepath.Join(w.opts.State, c.path))
		if err != nil || info.Mode().Perm() != c.mode {
			t.Errorf("%s: %v, %v", c.path, info.Mode(), err)
		}
	}
	if err := w.Remove(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(filepath.Join(w.opts.State, runsFolder))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := w.Remove(); err != nil {
		t.Errorf("twice: %v", err)
	}
	if err := w.Open(Open{}); err == nil {
		t.Error("opened twice")
	}
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(dir, "shared", runsFolder)
	if err := os.MkdirAll(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	linked := filepath.Join(dir, "linked")
	if err := os.Mkdir(linked, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(shared, filepath.Join(linked, runsFolder)); err != nil {
		t.Fatal(err)
	}
	for name, state := range map[string]string{
		"a file": file, "below a file": filepath.Join(file, "x"), "shared": filepath.Dir(shared), "a link": linked,
	} {
		w := New(Options{State: state})
		if err := w.Open(Open{Receipt: []byte("{}")}); err == nil || w.Err() == nil {
			t.Errorf("%s: no error", name)
		}
		w.Record([]byte("x"))
		w.Append(KindStarted, Started{})
		if err := w.Remove(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What cannot be a record leaves nothing behind.
	w := New(Options{State: filepath.Join(dir, "new")})
	if err := w.Open(Open{Receipt: []byte("{")}); err == nil {
		t.Error("a broken open record")
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "new", runsFolder)); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// Many goroutines, more than the buffers hold: every record is there, and
// those of one goroutine in order.
func TestManyRecords(t *testing.T) {
	const writers, each = 4, 3000
	w := opened(t, Options{})
	pad := strings.Repeat("x", 500)
	var all sync.WaitGroup
	for g := range writers {
		all.Go(func() {
			for i := range each {
				w.Record(fmt.Appendf(nil, "%d %06d %s", g, i, pad))
			}
		})
	}
	all.Wait()
	if err := w.Abandon("test"); err != nil {
		t.Fatal(err)
	}
	records, c := recordsOf(t, w.path)
	if len(records) != writers*each || c.Cut != nil || c.End != nil || w.Err() != nil {
		t.Fatalf("%d records, %+v, %v", len(records), c, w.Err())
	}
	if !slices.IsSorted(slices.DeleteFunc(records, func(r string) bool { return r[0] != '2' })) {
		t.Error("not in order")
	}
	if cap(w.batch)+cap(w.spare)+cap(w.out) > 6*batchSize {
		t.Errorf("buffers of %d, %d and %d bytes", cap(w.batch), cap(w.spare), cap(w.out))
	}
}

func TestLimit(t *testing.T) {
	w := opened(t, Options{Limit: 20_000})
	for i := range 100 {
		w.Record(fmt.Appendf(nil, "%03d%01000d", i, 0))
		if i%5 == 4 {
			w.Append(KindSums, Sums{})
		}
	}
	w.Append(KindExited, Exited{Code: 9})
	if err := w.Err(); err == nil || !strings.Contains(err.Error(), "limit of 20000 bytes") {
		t.Errorf("%v", err)
	}
	if err := w.Abandon("test"); err != nil {
		t.Fatal(err)
	}
	records, c := recordsOf(t, w.path)
	if len(records) == 0 || len(records) > 20 || !strings.HasPrefix(records[len(records)-1], fmt.Sprintf("%03d", len(records)-1)) {
		t.Errorf("%d records", len(records))
	}
	list, _ := contents(t, w, runsFolder)
	text := strings.Join(list, "\n")
	if c.Cut != nil || c.Size > 21_000 || strings.Count(text, "limit of 20000 bytes") != 1 || !strings.Contains(text, `"exit_code":9`) {
		t.Errorf("%+v\n%s", c, text[len(text)-500:])
	}
}

// A write that fails leaves whole frames, and is told.
func TestWriteFails(t *testing.T) {
	w := opened(t, Options{})
	w.Record([]byte("kept"))
	w.Append(KindStarted, Started{})
	good := w.file
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip(err) // not on every system
	}
	if err != nil {
		t.Fatal(err)
	}
	w.io.Lock()
	w.file = full
	w.io.Unlock()
	w.Record([]byte("lost"))
	w.Append(KindExited, Exited{})
	if err := w.Err(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	w.Record([]byte("lost too"))
	_ = w.Abandon("test")
	good.Close()
	records, c := recordsOf(t, w.path)
	if !slices.Equal(records, []string{"kept"}) || c.Cut != nil {
		t.Errorf("%q, %+v", records, c)
	}
	w = opened(t, Options{})
	w.Record(make([]byte, batchSize))
	if w.Err() == nil {
		t.Error("a record that is too large passes for kept")
	}
	_ = w.Remove()
}

// A write that ends half-way leaves nothing of its frame behind.
func TestHalfAWrite(t *testing.T) {
	w := opened(t, Options{})
	w.Record([]byte("kept"))
	w.Append(KindStarted, Started{})
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limited := before
	limited.Cur = uint64(w.size) + headerSize + 10 // amid the next frame
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		t.Fatal(err)
	}
	w.Record(make([]byte, 1000))
	w.Append(KindSums, Sums{})
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := w.Err(); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("%v", err)
	}
	if _, c := contents(t, w, runsFolder); c.Cut != nil {
		t.Errorf("half a frame is left: %v", c.Cut)
	}
	w.Append(KindExited, Exited{Code: 8}) // there is room again
	if err := w.Abandon("test"); err != nil {
		t.Fatal(err)
	}
	records, c := recordsOf(t, w.path)
	list, _ := contents(t, w, runsFolder)
	if !slices.Equal(records, []string{"kept"}) || c.Cut != nil || !strings.Contains(list[len(list)-2], `"exit_code":8`) {
		t.Errorf("%q, %+v, %v", records, c, list)
	}
}

func TestClaim(t *testing.T) {
	w := opened(t, Options{})
	state, path := w.opts.State, w.path
	if _, err := Claim(path); err != ErrBusy {
		t.Errorf("the recorder lives: %v", err)
	}
	if n := Forsaken(state, 10); n != 0 {
		t.Errorf("%d forsaken", n)
	}
	_, contents := contents(t, w, runsFolder)
	if boot, namespace := contents.Open.Here(); isLinux() && !(boot && namespace) {
		t.Error("the journal of this process is not from here")
	}
	if err := w.Abandon("test"); err != nil {
		t.Fatal(err)
	}
	list, err := List(state)
	if err != nil || len(list) != 1 || list[0] != (Entry{w.run, path}) || Forsaken(state, 10) != 1 || Forsaken(state, 0) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	c, err := Claim(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Claim(path); err != ErrBusy {
		t.Errorf("claimed twice: %v", err)
	}
	to, err := c.Recovered()
	if err != nil || to != filepath.Join(state, recoveredFolder, w.run+suffix) {
		t.Errorf("%s, %v", to, err)
	}
	c.Close()
	if list, err := List(state); len(list) != 0 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
	// One that is somewhere else stays there.
	if c, err = Claim(to); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Recovered(); got != to || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if err := c.Remove(); err != nil {
		t.Error(err)
	}
	c.Close()
	for name, path := range map[string]string{"missing": to, "a folder": state} {
		if _, err := Claim(path); err == nil {
			t.Errorf("%s: claimed", name)
		}
	}
	if list, err := List(filepath.Join(state, "nothing")); len(list) != 0 || err != nil {
		t.Errorf("no state folder: %v, %v", list, err)
	}
}

// What never got its name goes, once it is certain that nobody is about to give
// it one.
func TestSweep(t *testing.T) {
	state := t.TempDir()
	w := opened(t, Options{State: state})
	dir := filepath.Join(state, runsFolder)
	for _, name := range []string{".old.new", ".young.new", "old.new", ".old"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(name, "young") {
			if err := os.Chtimes(path, time.Time{}, time.Now().Add(-2*sweepAge)); err != nil {
				t.Fatal(err)
			}
		}
	}
	Sweep(state)
	left, err := os.ReadDir(dir)
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if want := []string{".old", ".young.new", w.Run() + suffix, "old.new"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("left: %q, want %q, %v", names, want, err)
	}
	Sweep(filepath.Join(state, "nothing"))
	if err := w.Remove(); err != nil {
		t.Error(err)
	}
}

func isLinux() bool { _, err := os.Stat("/proc/self/stat"); return err == nil }

func TestStateDir(t *testing.T) {
	home := func() (string, error) { return "/home/u", nil }
	none := func() (string, error) { return "", errors.New("no home") }
	for _, c := range []struct {
		xdg  string
		uid  int
		home func() (string, error)
		want string // "" is an error
	}{
		{"/s", 7, none, "/s/glasshouse"},
		{"/s", 0, none, "/s/glasshouse"},
		{"s", 0, none, "/var/lib/glasshouse"},
		{"", 0, home, "/var/lib/glasshouse"},
		{"", 7, home, "/home/u/.local/state/glasshouse"},
		{"s", 7, home, "/home/u/.local/state/glasshouse"},
		{"", 7, none, ""},
		{"", 7, func() (string, error) { return "here", nil }, ""},
	} {
		got, err := StateDir(func(string) string { return c.xdg }, c.uid, c.home)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q, %d: %q, %v", c.xdg, c.uid, got, err)
		}
	}
}

// What one record costs the goroutine that reads the ring.
func BenchmarkRecord(b *testing.B) {
	w := New(Options{State: b.TempDir(), Limit: 1 << 40})
	if err := w.Open(Open{Receipt: []byte("{}")}); err != nil {
		b.Fatal(err)
	}
	rec := make([]byte, 240)
	b.SetBytes(int64(len(rec)))
	for b.Loop() {
		w.Record(rec)
	}
	if err := w.Err(); err != nil {
		b.Fatal(err)
	}
	_ = w.Remove()
}

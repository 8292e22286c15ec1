package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"glasshouse/receipt"
)

// made is a receipt of a run that began second seconds into 2026.
func made(second int, change func(*receipt.Receipt)) *receipt.Receipt {
	at := receipt.At(time.Date(2026, 1, 1, 0, 0, second, 5, time.UTC))
	rec := &receipt.Receipt{
		ReceiptVersion: receipt.Version, Timestamp: at,
		ExecutionID: receipt.ExecutionID(at.Time, second, nil),
		Command:     receipt.Command{Argv: []string{"make", "test"}},
		Timing:      receipt.Timing{StartedAt: at, EndedAt: at, DurationMS: 7},
		Observation: receipt.Observation{Mode: "ebpf", Complete: true},
	}
	if change != nil {
		change(rec)
	}
	return rec
}

func encoded(t testing.TB, rec *receipt.Receipt) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := receipt.Encode(&b, rec); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func id(n int) string { return fmt.Sprintf("20260101-%02d%02d%02d-%08x", n/3600%24, n/60%60, n%60, n) }

func add(t testing.TB, s *Store, id string, rec *receipt.Receipt) {
	t.Helper()
	if err := s.Add(id, bytes.NewReader(encoded(t, rec)), nil); err != nil {
		t.Fatal(err)
	}
}

func query(t testing.TB, s *Store, q Query) Found {
	t.Helper()
	found, err := s.Find(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// ids are those of the entries, in their order.
func ids(found Found) (list []string) {
	for _, e := range found.Entries {
		list = append(list, e.ID)
	}
	return list
}

func glob(t testing.TB, pattern string) *Glob {
	t.Helper()
	g, err := ParseGlob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return &g
}

func TestRoundTrip(t *testing.T) {
	s := New(t.TempDir())
	rec := made(3, rich)
	data := encoded(t, rec)
	if err := s.Add(id(3), bytes.NewReader(data), []byte("bundle")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{s.Path(id(3)): string(data), s.BundlePath(id(3)): "bundle"} {
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	want := Entry{
		ID: id(3), Bytes: int64(len(data)), Signed: true,
		ExecutionID: rec.ExecutionID, StartedAt: rec.Timestamp, DurationMS: 7, ExitCode: 137, Signal: rec.Outcome.Signal,
		Mode: "ebpf", Complete: true, Command: strings.Join(rec.Command.Argv, " "), Argv: `["a","","line\nbreak","\"quoted\\","ü"]`,
	}
	for range 2 { // made, and read
		if diff := cmp.Diff(Found{Entries: []Entry{want}}, query(t, s, Query{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	// An ID is used once, and what is there stays.
	if err := s.Add(id(3), strings.NewReader("other"), nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the same ID again: %v", err)
	}
	if got, _ := os.ReadFile(s.Path(id(3))); !bytes.Equal(got, data) {
		t.Error("it was replaced")
	}
	for _, bad := range []string{"", "x", "../" + id(3), id(3) + "/x", "20261399-000000-00000000", id(3)[:23] + "G"} {
		if err := s.Add(bad, bytes.NewReader(data), nil); err == nil {
			t.Errorf("%q is taken for an ID", bad)
		}
	}
	names, _ := s.names()
	slices.Sort(names)
	if diff := cmp.Diff([]string{id(3) + ".json", id(3) + ".json.sigstore.json"}, names); diff != "" {
		t.Error(diff)
	}
}

// Of one second there may be many, and none is mistaken for another.
func TestFilters(t *testing.T) {
	s := New(t.TempDir())
	add(t, s, "20260101-000005-0000000a", made(5, rich))
	add(t, s, "20260101-000005-0000000b", made(5, func(r *receipt.Receipt) {
		r.Filesystem.Deletes = []string{"/reads", "/etc/[x]"}
		r.Command.Argv = []string{"go", "build", "a[0]", "./..."}
	}))
	add(t, s, "20260101-000006-0000000c", made(6, func(r *receipt.Receipt) {
		reason := "no such file"
		r.Outcome.Error, r.Outcome.ExitCode = &reason, 0
		r.Filesystem.Writes = []string{"/etc/passwd"}
	}))
	const a, b, c = "20260101-000005-0000000a", "20260101-000005-0000000b", "20260101-000006-0000000c"
	since := func(sec int) time.Time { return time.Date(2026, 1, 1, 0, 0, sec, 0, time.UTC) }
	for name, tc := range map[string]struct {
		q    Query
		want []string
	}{
		"all":                {Query{}, []string{c, b, a}},
		"limit":              {Query{Limit: 2}, []string{c, b}},
		"path":               {Query{Path: glob(t, "/reads")}, []string{b, a}},
		"path and limit":     {Query{Path: glob(t, "/reads"), Limit: 1}, []string{b}},
		"path of a failure":  {Query{Path: glob(t, "/failed*")}, nil},
		"path escaped":       {Query{Path: glob(t, `/etc/\[x]`)}, []string{b}},
		"path below":         {Query{Path: glob(t, "/etc/")}, []string{c, b}},
		"host":               {Query{Host: "EXAMPLE.ORG"}, []string{a}},
		"host, glob":         {Query{Host: "*.example"}, []string{a}},
		"host, a part":       {Query{Host: "example"}, nil},
		"address":            {Query{Host: "192.0.2.1"}, []string{a}},
		"address and port":   {Query{Host: "[2001:db8::1]:443"}, []string{a}},
		"address, glob":      {Query{Host: "192.0.2.*"}, []string{a}},
		"command":            {Query{Command: "build"}, []string{b}},
		"command, glob":      {Query{Command: "go*..."}, []string{b}},
		"command, brackets":  {Query{Command: "a[0]"}, []string{b}},
		"command, case":      {Query{Command: "BUILD"}, nil},
		"failed":             {Query{Failed: true}, []string{c, a}},
		"since":              {Query{Since: since(6)}, []string{c}},
		"since, later":       {Query{Since: since(7)}, nil},
		"all together":       {Query{Path: glob(t, "reads"), Host: "192.0.2.1", Command: "quoted", Failed: true, Since: since(5)}, []string{a}},
		"all together, none": {Query{Path: glob(t, "reads"), Host: "192.0.2.1", Command: "build", Failed: true, Since: since(5)}, nil},
	} {
		if got := ids(query(t, s, tc.q)); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

// The index follows the folder: what is new, gone and changed.
func TestFolderChanges(t *testing.T) {
	s := New(t.TempDir())
	for n := range 5 {
		add(t, s, id(n), made(n, func(r *receipt.Receipt) { r.Filesystem.Reads = []string{"/all", fmt.Sprintf("/of/%d", n)} }))
	}
	if got := ids(query(t, s, Query{Path: glob(t, "/all")})); len(got) != 5 {
		t.Fatalf("found %q", got)
	}
	if err := os.Remove(s.Path(id(2))); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.Path(id(3))); err != nil {
		t.Fatal(err)
	}
	add(t, s, id(3), made(3, func(r *receipt.Receipt) { r.Filesystem.Reads = []string{"/another"} }))
	if got := ids(query(t, s, Query{Path: glob(t, "/all")})); !slices.Equal(got, []string{id(4), id(1), id(0)}) {
		t.Errorf("found %q", got)
	}
	if got := ids(query(t, s, Query{Path: glob(t, "/of/[23]")})); got != nil {
		t.Errorf("what is gone is found: %q", got)
	}
	if got := ids(query(t, s, Query{Path: glob(t, "/another")})); !slices.Equal(got, []string{id(3)}) {
		t.Errorf("found %q", got)
	}
	if err := os.WriteFile(s.BundlePath(id(0)), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, e := range query(t, s, Query{}).Entries {
		if e.Signed != (e.ID == id(0)) {
			t.Errorf("%s is signed: %v", e.ID, e.Signed)
		}
	}
	if err := os.RemoveAll(s.folder()); err != nil {
		t.Fatal(err)
	}
	if got := ids(query(t, s, Query{})); got != nil {
		t.Errorf("found %q", got)
	}
}

// A folder that has rested is not looked through again; one that has changed is.
func TestSettled(t *testing.T) {
	s := New(t.TempDir())
	add(t, s, id(1), made(1, nil))
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(s.folder(), old, old); err != nil {
		t.Fatal(err)
	}
	query(t, s, Query{})
	// Behind the back of the folder's mtime.
	if err := os.WriteFile(s.Path(id(2)), encoded(t, made(2, nil)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(s.folder(), old, old); err != nil {
		t.Fatal(err)
	}
	if got := query(t, s, Query{}).Entries; len(got) != 1 {
		t.Errorf("the folder was looked through: %d", len(got))
	}
	add(t, s, id(3), made(3, nil))
	for range 2 { // the second time it is too young to be trusted
		if got := query(t, s, Query{}).Entries; len(got) != 3 {
			t.Errorf("%d found", len(got))
		}
	}
}

// An index that is of no use is made anew, and nobody hears of it.
func TestIndexRebuilt(t *testing.T) {
	s := New(t.TempDir())
	for n := range 3 {
		add(t, s, id(n), made(n, func(r *receipt.Receipt) {
			for i := range 5000 { // several pages
				r.Filesystem.Reads = append(r.Filesystem.Reads, fmt.Sprintf("/work/%d/%d", n, i))
			}
		}))
	}
	q := Query{Path: glob(t, "/work/1/4999")}
	check := func(name string) {
		t.Helper()
		if got := ids(query(t, s, q)); !slices.Equal(got, []string{id(1)}) {
			t.Errorf("%s: found %q", name, got)
		}
	}
	check("new")
	good, err := os.ReadFile(s.indexPath())
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, len(good))
	for i := range noise {
		noise[i] = byte(i * 7)
	}
	for name, bad := range map[string][]byte{
		"empty":               {},
		"text":                []byte("not a database"),
		"noise":               noise,
		"cut":                 good[:len(good)/2],
		"noise in the middle": slices.Concat(good[:1<<16], noise[:len(good)-1<<16]),
		"another version":     slices.Concat(good[:60], []byte{0, 0, 0, 99}, good[64:]), // user_version
	} {
		if err := os.WriteFile(s.indexPath(), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		check(name)
	}
	for _, statement := range []string{
		"DROP TABLE hosts", "DROP TABLE blocks", "UPDATE receipts SET entry = 'x'",
		"UPDATE blocks SET names = names + 1", "UPDATE blocks SET lists = -1", "UPDATE blocks SET dirs = 1 << 40", "DROP INDEX receipts_started",
	} {
		db, err := openDB(context.Background(), s.indexPath())
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Exec(statement)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		q.Host = "*"
		query(t, s, q)
		q.Host = ""
		check(statement)
	}
	for name, damage := range map[string]func(path string) error{
		"removed":     os.Remove,
		"cut":         func(path string) error { return os.Truncate(path, 100) },
		"longer":      func(path string) error { return appendTo(path, "x") },
		"a folder":    func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"other lists": func(path string) error { return endWith(path, "\xff\xff\xff") },
	} {
		blocks := blockNames(t, s)
		if len(blocks) != 1 {
			t.Fatalf("blocks: %q", blocks)
		}
		if err := damage(blocks[0]); err != nil {
			t.Fatal(err)
		}
		check("block " + name)
	}
	for _, path := range []string{s.indexPath(), string(s.blockFiles())} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		check("removed " + path)
	}
}

// blockNames are the files of the blocks.
func blockNames(t *testing.T, s *Store) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(string(s.blockFiles()), "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func endWith(path, text string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data[:len(data)-len(text)], text...), 0o600)
}

// Blocks that nobody tells of any more do not stay: neither those that another
// took the place of, nor those of a writer that was killed.
func TestBlocksGo(t *testing.T) {
	s := New(t.TempDir())
	for n := range 4 {
		add(t, s, id(n), made(n, rich))
		if n == 2 {
			if err := os.WriteFile(s.blockFiles().name(99), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		query(t, s, Query{})
		if blocks := blockNames(t, s); len(blocks) != 1 {
			t.Errorf("blocks: %q", blocks)
		}
		if got := query(t, s, Query{Path: glob(t, "/reads")}).Entries; len(got) != n+1 {
			t.Errorf("%d found, want %d", len(got), n+1)
		}
	}
}

// What cannot be read is listed, and told of where it was not searched.
func TestUnreadable(t *testing.T) {
	s := New(t.TempDir())
	add(t, s, id(1), made(1, rich))
	good := encodedOnce(t, rich)
	for n, data := range map[int][]byte{2: {}, 3: []byte("{}"), 4: good[:len(good)-10], 5: []byte(`{"receipt_version": "v9` + strings.Repeat("9", 100_000) + `"}`), 7: []byte(`{"timestamp": "` + strings.Repeat("9", 100_000) + `"}`)} {
		if err := os.WriteFile(s.Path(id(n)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	huge, err := os.Create(s.Path(id(6)))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(huge.Truncate(receipt.MaxSize+1), huge.Close()); err != nil {
		t.Fatal(err)
	}
	found := query(t, s, Query{})
	if len(found.Entries) != 7 || found.Unsearched != 0 {
		t.Fatalf("%+v", found)
	}
	for i, part := range []string{"parsing time", "too large", "version", "not a receipt", "no receipt_version", "not a receipt"} {
		e := found.Entries[i]
		if e.ID != id(7-i) || !strings.Contains(e.Unreadable, part) || len(e.Unreadable) > 500 || !e.StartedAt.Equal(started(e.ID)) {
			t.Errorf("%+v, want %q", e, part)
		}
	}
	found = query(t, s, Query{Path: glob(t, "/reads")})
	if !slices.Equal(ids(found), []string{id(1)}) || found.Unsearched != 6 {
		t.Errorf("%+v", found)
	}
}

func TestLookup(t *testing.T) {
	s := New(t.TempDir())
	lookup := func(part string) (string, error) { return s.Lookup(context.Background(), part) }
	if _, err := lookup("20260101"); !errors.Is(err, ErrUnknown) {
		t.Errorf("in nothing: %v", err)
	}
	add(t, s, "20260101-000001-0000001a", made(1, nil))
	add(t, s, "20260101-000001-0000002a", made(2, nil))
	add(t, s, "20260102-000001-0000003b", made(3, nil))
	for part, want := range map[string]string{
		"20260101-000001-0000001a":    "20260101-000001-0000001a",
		"20260102":                    "20260102-000001-0000003b",
		"3b":                          "20260102-000001-0000003b",
		"1a":                          "20260101-000001-0000001a",
		made(2, nil).ExecutionID:      "20260101-000001-0000002a",
		made(2, nil).ExecutionID[:12]: "20260101-000001-0000002a",
	} {
		if got, err := lookup(part); got != want || err != nil {
			t.Errorf("%s: got %s, %v", part, got, err)
		}
	}
	var ambiguous *AmbiguousError
	if _, err := lookup("20260101"); !errors.As(err, &ambiguous) || !slices.Equal(ambiguous.IDs, []string{"20260101-000001-0000001a", "20260101-000001-0000002a"}) {
		t.Errorf("%v", err)
	}
	for _, part := range []string{"", "7777", "receipt.json", "../x", "20260101-000001-0000001a.json", "%", strings.Repeat("a", 65)} {
		if _, err := lookup(part); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", part, err)
		}
	}
}

func TestPrune(t *testing.T) {
	s := New(t.TempDir())
	data := encodedOnce(t, nil)
	for n := range 6 {
		if err := s.Add(id(n), bytes.NewReader(encoded(t, made(n, func(r *receipt.Receipt) {
			r.Filesystem.Reads = []string{fmt.Sprintf("/secret-%d", n)}
		}))), []byte("bundle")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(s.Path(id(6)), data[:20], 0o600); err != nil { // unreadable: by its ID the newest
		t.Fatal(err)
	}
	prune := func(keep Keep, dry bool) Pruned {
		t.Helper()
		p, err := s.Prune(context.Background(), keep, dry)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	left := func() []string { return ids(query(t, s, Query{})) }
	since := func(n int) time.Time { return made(n, nil).Timestamp.Time }

	before := left()
	size := int64(0)
	for n := range 3 {
		for _, path := range []string{s.Path(id(n)), s.BundlePath(id(n))} {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
		}
	}
	for _, dry := range []bool{true, false} {
		p := prune(Keep{Newest: 2, Since: since(3)}, dry)
		if got := ids(Found{Entries: p.Removed}); !slices.Equal(got, []string{id(2), id(1), id(0)}) || p.Kept != 4 || p.Bytes != size {
			t.Errorf("%+v", p)
		}
		if dry && !slices.Equal(left(), before) {
			t.Error("it was not only looked")
		}
	}
	if got := left(); !slices.Equal(got, []string{id(6), id(5), id(4), id(3)}) {
		t.Errorf("left: %q", got)
	}
	if names, _ := s.names(); len(names) != 7 {
		t.Errorf("left: %q", names)
	}
	// Nothing is left of it in the index, not even in what is free there.
	var index []byte
	for _, path := range append(blockNames(t, s), s.indexPath()) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		index = append(index, data...)
	}
	if bytes.Contains(index, []byte("secret-1")) || !bytes.Contains(index, []byte("secret-3")) {
		t.Error("the index knows what was removed, or not what was kept")
	}
	if p := prune(Keep{Newest: 100}, false); len(p.Removed) != 0 || p.Kept != 4 {
		t.Errorf("%+v", p)
	}
	if p := prune(Keep{}, false); len(p.Removed) != 4 || len(left()) != 0 {
		t.Errorf("%+v", p)
	}
	if names, _ := s.names(); len(names) != 0 {
		t.Errorf("left: %q", names)
	}
}

// Drafts of killed writers go, those of living ones stay.
func TestSweep(t *testing.T) {
	s := New(t.TempDir())
	old, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	young, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-2 * draftAge)
	if err := os.Chtimes(old.Name(), past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prune(context.Background(), Keep{}, false); err != nil {
		t.Fatal(err)
	}
	if names, _ := s.names(); len(names) != 1 || filepath.Join(s.folder(), names[0]) != young.Name() {
		t.Errorf("left: %q", names)
	}
	old.Discard()
	young.Discard()
	if names, _ := s.names(); len(names) != 0 {
		t.Errorf("left: %q", names)
	}
}

// Runs, logs and prunes at once: nobody fails, and in the end all agree.
func TestConcurrent(t *testing.T) {
	s := New(t.TempDir())
	const writers, each = 4, 20
	var group errgroup.Group
	for w := range writers {
		group.Go(func() error {
			for n := range each {
				data := encoded(t, made(w*each+n, func(r *receipt.Receipt) { r.Filesystem.Reads = []string{"/all"} }))
				if err := New(s.state).Add(id(w*each+n), bytes.NewReader(data), nil); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range 3 {
		group.Go(func() error {
			for range 10 {
				found, err := New(s.state).Find(context.Background(), Query{Path: glob(t, "/all")})
				if err != nil {
					return err
				}
				if found.Unsearched > 0 {
					return fmt.Errorf("%d unreadable", found.Unsearched)
				}
			}
			return nil
		})
		group.Go(func() error {
			for range 5 {
				if _, err := New(s.state).Prune(context.Background(), Keep{Newest: 30}, false); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error { // somebody deletes it
		for range 5 {
			if err := os.Remove(s.indexPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			time.Sleep(50 * time.Millisecond)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prune(context.Background(), Keep{Newest: 10}, false); err != nil {
		t.Fatal(err)
	}
	files, err := s.list()
	if err != nil || len(files) != 10 {
		t.Errorf("%d files, %v", len(files), err)
	}
	if got := query(t, s, Query{Path: glob(t, "/all")}).Entries; len(got) != 10 {
		t.Errorf("%d found", len(got))
	}
}

// A search costs by the bytes that it goes through, so these are counted, which
// no busy machine changes: 28 of each file make the 50 ms for 10,000 receipts of
// 300 that BenchmarkFind measures.
func TestSearchCost(t *testing.T) {
	const receipts = 500
	for kind, most := range map[string]int{shared: 12, distinct: 28} {
		s := New(t.TempDir())
		generate(t, s, kind, receipts)
		query(t, s, Query{})
		db, err := openDB(context.Background(), s.indexPath())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var size, blocks int
		if err := db.QueryRow("SELECT sum(names + dirs + lists), count(*) FROM blocks").Scan(&size, &blocks); err != nil {
			t.Fatal(err)
		}
		if each := size / (receipts * filesEach); each > most {
			t.Errorf("%s: %d bytes for each file of each receipt, %d at most", kind, each, most)
		}
		if blocks > 1+receipts*filesEach*most/maxBlock {
			t.Errorf("%s: %d blocks of %d bytes together", kind, blocks, size)
		}
		// And nothing but the blocks and an index is looked through.
		rows, err := db.Query("EXPLAIN QUERY PLAN SELECT entry FROM receipts INDEXED BY receipts_started ORDER BY started DESC, id DESC")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var a, b, c int
			var step string
			if err := rows.Scan(&a, &b, &c, &step); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(step, "USING INDEX receipts_started") {
				t.Errorf("the listing does: %s", step)
			}
		}
	}
}

// A bundle without its receipt is none that anybody asked for.
func TestKeepFailsWhole(t *testing.T) {
	s := New(t.TempDir())
	d, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(d.Name()); err != nil {
		if runtime.GOOS != "windows" {
			t.Fatal(err)
		}
		t.Skip("an open file cannot be removed here: ", err)
	}
	if err := d.Keep(id(0), []byte("bundle")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(s.BundlePath(id(0))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the bundle: %v", err)
	}
}

// Of many who want one ID at the same time one gets it, and its receipt and
// bundle are those that stay.
func TestKeepAtOnce(t *testing.T) {
	s := New(t.TempDir())
	for n := range 40 {
		var drafts []*Draft
		for i := range 8 {
			d, err := s.Create()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(d, "%d", i)
			drafts = append(drafts, d)
		}
		var kept atomic.Int32
		var winner atomic.Int32
		var all errgroup.Group
		begin := make(chan struct{})
		for i, d := range drafts {
			all.Go(func() error {
				<-begin
				err := d.Keep(id(n), fmt.Appendf(nil, "%d", i))
				if err == nil {
					kept.Add(1)
					winner.Store(int32(i))
				}
				if errors.Is(err, fs.ErrExist) {
					return nil
				}
				return err
			})
		}
		close(begin)
		if err := all.Wait(); err != nil || kept.Load() != 1 {
			t.Fatalf("%d have got the ID; %v", kept.Load(), err)
		}
		want := fmt.Sprint(winner.Load())
		for _, path := range []string{s.Path(id(n)), s.BundlePath(id(n))} {
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Fatalf("%s holds %q, not %q; %v", path, got, want, err)
			}
		}
	}
}

// What a prune that was killed has left in the index goes with the next one, whether
// that removes something or not.
func TestPruneAfterAKilledOne(t *testing.T) {
	s := New(t.TempDir())
	for n := range 2 {
		add(t, s, id(n), made(n, func(r *receipt.Receipt) {
			r.Command.Argv = []string{fmt.Sprintf("secret-%d", n)}
			r.Filesystem.Reads = []string{fmt.Sprintf("/secret-%d", n)}
		}))
	}
	query(t, s, Query{})
	old := blockNames(t, s)
	left, err := os.ReadFile(old[0])
	if err := errors.Join(err, os.Remove(s.Path(id(1)))); err != nil {
		t.Fatal(err)
	}
	query(t, s, Query{}) // which leaves its row in what is free, and no block
	if err := os.WriteFile(old[0], left, 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Prune(t.Context(), Keep{Newest: 9}, false); err != nil || len(p.Removed) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, path := range append(blockNames(t, s), s.indexPath()) {
		if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte("secret-1")) {
			t.Errorf("%s has it still, or %v", path, err)
		}
	}
}

// Several that prune at the same time remove each receipt once, and say so once.
func TestPruneAtOnce(t *testing.T) {
	s := New(t.TempDir())
	const there, keep = 200, 10
	size := int64(0)
	for n := range there {
		data := encoded(t, made(n, nil))
		if err := s.Add(id(n), bytes.NewReader(data), []byte("bundle")); err != nil {
			t.Fatal(err)
		}
		if n < there-keep {
			size += int64(len(data) + len("bundle"))
		}
	}
	query(t, s, Query{}) // an index, so that all begin to remove at about the same time
	var pruned [4]Pruned
	var all errgroup.Group
	for i := range pruned {
		all.Go(func() (err error) {
			pruned[i], err = s.Prune(context.Background(), Keep{Newest: keep}, false)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	removed, bytes := map[string]int{}, int64(0)
	for _, p := range pruned {
		if p.Kept != keep {
			t.Errorf("%d are kept", p.Kept)
		}
		for _, e := range p.Removed {
			removed[e.ID]++
		}
		bytes += p.Bytes
	}
	for id, n := range removed {
		if n != 1 {
			t.Errorf("%s was removed %d times", id, n)
		}
	}
	if len(removed) != there-keep || bytes != size {
		t.Errorf("removed %d receipts of %d bytes, not %d of %d", len(removed), bytes, there-keep, size)
	}
}

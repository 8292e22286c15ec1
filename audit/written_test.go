package audit

import "testing"

func TestWritten(t *testing.T) {
	a := NewAggregator()
	at := func(name string) Path { return Path{Name: name} }
	for _, e := range []Event{
		&Open{Header: by(root, 10), Path: at("/w/made"), Mode: OpenMode{Write: true, Created: true}, Kind: KindFile},
		&FileIO{Header: by(root, 20), ID: 1, Path: at("/w/made"), Kind: KindFile, Written: 7},
		&Repeat{ID: 1, Count: 2, Bytes: 14, Latest: 55},
		&Open{Header: by(root, 60), Path: at("/w/opened"), Mode: OpenMode{Write: true}, Kind: KindFile},
		&Open{Header: by(root, 61), Path: at("/w/read"), Mode: OpenMode{Read: true}, Kind: KindFile},
		&Open{Header: by(root, 62), Path: at("/w/gone"), Mode: OpenMode{Write: true, Created: true}, Kind: KindFile},
		&FileOp{Header: by(root, 63), Op: "unlink", Path: in("/w", "gone")},
		&Open{Header: by(root, 64), Path: at("/w/.tmp"), Mode: OpenMode{Write: true, Created: true}, Kind: KindFile},
		&FileOp{Header: by(root, 70), Op: "rename", Path: in("/w", ".tmp"), To: in("/w", "moved")},
		&Open{Header: by(root, 71), Path: at("/w/draft"), Mode: OpenMode{Write: true, Created: true}, Kind: KindFile},
		&FileOp{Header: by(root, 72), Op: "link", Path: in("/w", "draft"), To: in("/w", "final")},
		&FileOp{Header: by(root, 73), Op: "unlink", Path: in("/w", "draft")},
		&FileOp{Header: by(root, 80), Op: "chmod", Path: in("/w", "made")},
		&Open{Header: by(root, 81), Path: Path{Name: "/w/far", OtherNS: true}, Mode: OpenMode{Write: true, Created: true}, Kind: KindFile},
		&Open{Header: by(root, 82), Path: Path{Name: "/w/cut", Cut: true}, Mode: OpenMode{Write: true, Created: true}, Kind: KindFile},
		&Open{Header: by(root, 83), ID: 9, Path: at("/w/mapped"), Mode: OpenMode{Write: true, Truncated: true}, Kind: KindFile},
		&Mapping{Header: by(root, 84), Path: at("/w/mapped"), Shared: true},
		&Open{Header: by(root, 85), ID: 10, Path: at("/w/emptied"), Mode: OpenMode{Write: true, Truncated: true}, Kind: KindFile},
		&Repeat{ID: 10, Count: 2, Latest: 90, Last: true},
	} {
		a.Add(e)
	}
	want := []Written{
		{Path: "/w/emptied", At: 90, Latest: 90},
		{Path: "/w/final", At: 73, Latest: 73},
		{Path: "/w/made", At: 80, Latest: 80},
		{Path: "/w/mapped", At: 84, Latest: 84, Mapped: true},
		{Path: "/w/moved", At: 70, Latest: 70},
	}
	check(t, "written", allWritten(t, a), want)
	list, more := a.Written(2)
	check(t, "the first of them", list, want[:2])
	check(t, "those left out", more, 3)
}

func allWritten(t *testing.T, a *Aggregator) []Written {
	t.Helper()
	list, more := a.Written(100)
	check(t, "those left out", more, 0)
	return list
}

// Which file it was that the run changed is known as long as it is certain.
func TestWrittenInode(t *testing.T) {
	a := NewAggregator()
	at := func(name string) Path { return Path{Name: name} }
	made := OpenMode{Write: true, Created: true}
	for _, e := range []Event{
		&Open{Header: by(root, 10), Path: at("/w/made"), Mode: made, Kind: KindFile, Inode: 1},
		&Open{Header: by(root, 11), Path: at("/w/made"), Mode: OpenMode{Read: true}, Kind: KindFile, Inode: 2},
		&FileIO{Header: by(root, 12), Path: at("/w/written"), Kind: KindFile, Inode: 3, Written: 7},
		&FileIO{Header: by(root, 13), Path: at("/w/written"), Kind: KindFile, Inode: 2, Read: 7},
		&Open{Header: by(root, 14), Path: at("/w/mapped"), Mode: OpenMode{Write: true}, Kind: KindFile, Inode: 4},
		&Mapping{Header: by(root, 14), Path: at("/w/mapped"), Shared: true, Inode: 4},
		&Open{Header: by(root, 15), Path: at("/w/.tmp"), Mode: made, Kind: KindFile, Inode: 5},
		&FileOp{Header: by(root, 16), Op: "rename", Path: in("/w", ".tmp"), To: in("/w", "moved")},
		&FileOp{Header: by(root, 17), Op: "link", Path: in("/w", "made"), To: in("/w", "linked")},
		&Open{Header: by(root, 18), Path: at("/w/there"), Mode: made, Kind: KindFile, Inode: 6},
		&FileOp{Header: by(root, 19), Op: "rename", Path: in("/w", "unknown"), To: in("/w", "there")},
		&Open{Header: by(root, 20), Path: at("/w/x"), Mode: made, Kind: KindFile, Inode: 7},
		&Open{Header: by(root, 21), Path: at("/w/y"), Mode: made, Kind: KindFile, Inode: 8},
		&FileOp{Header: by(root, 22), Op: "rename", Path: in("/w", "x"), To: in("/w", "y"), Exchange: true},
		&Open{Header: by(root, 23), Path: at("/w/old/f"), Mode: made, Kind: KindFile, Inode: 9},
		&Open{Header: by(root, 24), Path: at("/w/new/f"), Mode: made, Kind: KindFile, Inode: 10},
		&FileOp{Header: by(root, 25), Op: "rename", Path: in("/w", "new"), To: in("/w", "old"), Exchange: true},
	} {
		a.Add(e)
	}
	got := map[string]uint64{}
	for _, w := range allWritten(t, a) {
		got[w.Path] = w.Inode
	}
	check(t, "inodes", got, map[string]uint64{
		"/w/made": 1, "/w/written": 3, "/w/mapped": 4, "/w/moved": 5, "/w/linked": 1, "/w/there": 0, "/w/x": 8, "/w/y": 7,
		"/w/old": 0, "/w/new": 0, "/w/old/f": 0, "/w/new/f": 0,
	})
}

// When a file was last written to is known however late its writes are told.
func TestWrittenLate(t *testing.T) {
	a := NewAggregator()
	a.Add(&Repeat{ID: 1, Count: 2, Bytes: 14, Latest: 55}) // before what it repeats
	a.Add(&FileIO{Header: by(root, 20), ID: 1, Path: Path{Name: "/w/a"}, Kind: KindFile, Written: 7})
	a.Add(&FileIO{Header: by(root, 30), ID: 2, Path: Path{Name: "/w/b"}, Kind: KindFile, Read: 7})
	a.Add(&Repeat{ID: 2, Count: 2, Bytes: 14})
	check(t, "written", allWritten(t, a), []Written{{Path: "/w/a", At: 55, Latest: 55}})
}

// A change by a name that may have led to any file may have been of any.
func TestWrittenThroughLinks(t *testing.T) {
	a := NewAggregator()
	a.Add(&Open{Header: by(root, 10), Path: Path{Name: "/w/a"}, Mode: OpenMode{Write: true, Created: true}, Kind: KindFile})
	a.Add(&Open{Header: by(root, 30), Path: Path{Name: "/w/b"}, Mode: OpenMode{Write: true, Created: true}, Kind: KindFile})
	a.Add(&FileOp{Header: by(root, 20), Op: "chmod", Path: in("/w", "link")})
	a.Add(&FileOp{Header: by(root, 40), Op: "chmod", Path: in("/w", "b")})
	check(t, "written", allWritten(t, a), []Written{{Path: "/w/a", At: 10, Latest: 20}, {Path: "/w/b", At: 40, Latest: 40}})
}

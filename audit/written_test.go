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
	} {
		a.Add(e)
	}
	want := []Written{
		{Path: "/w/final", At: 73, Latest: 73},
		{Path: "/w/made", At: 80, Latest: 80},
		{Path: "/w/mapped", At: 84, Latest: 84, Mapped: true},
		{Path: "/w/moved", At: 70, Latest: 70},
	}
	check(t, "written", a.Written(100), want)
	check(t, "the first of them", a.Written(2), want[:2])
}

// When a file was last written to is known however late its writes are told.
func TestWrittenLate(t *testing.T) {
	a := NewAggregator()
	a.Add(&Repeat{ID: 1, Count: 2, Bytes: 14, Latest: 55}) // before what it repeats
	a.Add(&FileIO{Header: by(root, 20), ID: 1, Path: Path{Name: "/w/a"}, Kind: KindFile, Written: 7})
	a.Add(&FileIO{Header: by(root, 30), ID: 2, Path: Path{Name: "/w/b"}, Kind: KindFile, Read: 7})
	a.Add(&Repeat{ID: 2, Count: 2, Bytes: 14})
	check(t, "written", a.Written(100), []Written{{Path: "/w/a", At: 55, Latest: 55}})
}

// A change by a name that may have led to any file may have been of any.
func TestWrittenThroughLinks(t *testing.T) {
	a := NewAggregator()
	a.Add(&Open{Header: by(root, 10), Path: Path{Name: "/w/a"}, Mode: OpenMode{Write: true, Created: true}, Kind: KindFile})
	a.Add(&Open{Header: by(root, 30), Path: Path{Name: "/w/b"}, Mode: OpenMode{Write: true, Created: true}, Kind: KindFile})
	a.Add(&FileOp{Header: by(root, 20), Op: "chmod", Path: in("/w", "link")})
	a.Add(&FileOp{Header: by(root, 40), Op: "chmod", Path: in("/w", "b")})
	check(t, "written", a.Written(100), []Written{{Path: "/w/a", At: 10, Latest: 20}, {Path: "/w/b", At: 40, Latest: 40}})
}

//go:build linux

package microvm

import (
	"slices"
	"testing"

	"glasshouse/receipt"
)

// What is made, renamed and removed has the paths of the objects, by whatever
// names it was called: through links, by threads that could have changed the
// names, and where nothing was done nothing is told.
func TestObjects(t *testing.T) {
	const script = `
import os, threading
os.makedirs("/tmp/d/real")
os.symlink("/tmp/d/real", "/tmp/d/way")
def work():
    os.mkdir("/tmp/d/way/folder")
    os.mkfifo("/tmp/d/way/fifo")
    os.symlink("nowhere", "/tmp/d/way/link")
    os.link("/tmp/d/way/fifo", "/tmp/d/way/same")
    os.rename("/tmp/d/way/fifo", "/tmp/d/way/same")  # one file: nothing is done
    os.rename("/tmp/d/way/fifo", "/tmp/d/way/../moved")
    os.unlink("/tmp/d/way/link")
    os.rmdir("/tmp/d/way/./folder/")
    try: os.unlink("/tmp/d/way/none")
    except FileNotFoundError: pass
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert sorted(os.listdir("/tmp/d/real")) == ["same"], os.listdir("/tmp/d/real")
`
	r := run(t, "", nil, "python3", "-c", script)
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	complete(t, r.Receipt)
	below := func(paths []string) (some []string) {
		for _, p := range paths {
			if len(p) > 6 && p[:6] == "/tmp/d" {
				some = append(some, p)
			}
		}
		return some
	}
	same(t, "deletes", []string{"/tmp/d/real/fifo", "/tmp/d/real/folder", "/tmp/d/real/link"}, below(r.Filesystem.Deletes))
	if want := []receipt.Rename{{From: "/tmp/d/real/fifo", To: "/tmp/d/moved", Source: receipt.SourceKernel}}; !slices.Equal(r.Filesystem.Renames, want) {
		t.Errorf("renames: got %+v, want %+v", r.Filesystem.Renames, want)
	}
	var made []string
	for _, c := range r.Filesystem.Created {
		if c.Source != receipt.SourceKernel {
			t.Errorf("created: %+v", c)
		}
		made = append(made, c.Kind+" "+c.Path)
	}
	same(t, "created", []string{
		"dir /tmp/d", "dir /tmp/d/real", "symlink /tmp/d/way", "dir /tmp/d/real/folder", "fifo /tmp/d/real/fifo",
		"symlink /tmp/d/real/link", "hardlink /tmp/d/real/same",
	}, made)
	for _, f := range r.Filesystem.Files {
		if len(below([]string{f.Path})) > 0 && f.Source != receipt.SourceKernel {
			t.Errorf("%+v", f)
		}
	}
	// What failed has no object.
	if !slices.ContainsFunc(r.Filesystem.Failed, func(f receipt.FailedOp) bool {
		return f.Op == "unlink" && f.Path == "/tmp/d/way/none" && f.Errno == "ENOENT"
	}) {
		t.Errorf("failed: %+v", r.Filesystem.Failed)
	}
	// Its name is all that is known of it, as of what a link says, and threads
	// could have changed that; guest and host say so, once.
	for _, g := range r.Observation.Gaps {
		switch g.Kind {
		case receipt.GapLinks, receipt.GapRaced:
			t.Errorf("gap %+v", g)
		case receipt.GapSharedNames:
			if g.Detail != "unlink" && g.Detail != "symlink" || g.Count != 1 {
				t.Errorf("gap %+v", g)
			}
		}
	}
}

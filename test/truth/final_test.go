//go:build linux

package truth

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/receipt"
)

// put writes a file in one piece.
func put(name, text string) { check(os.WriteFile(name, []byte(text), 0o600)) }

// await waits until there is such a file.
func await(name string) {
	for {
		if _, err := os.Lstat(name); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func init() {
	workloads["finals"] = func([]string) {
		put("alone", "as it was written")
		put("theirs", "before")
		put("touched", "mode")
		put("both", "before")
		put("old", "renamed")
		put("gone", "")
		put("draft", "linked")
		put("replaced", "before")
		check(os.Mkdir("swapped", 0o755))
		put("swapped/file", "before")
		check(os.Mkdir("mine", 0o755))
		put("mine/file", "moved along")

		// A loop is folded: when the last of these was is told at the end alone.
		fd := open(unix.AT_FDCWD, "many", unix.O_CREAT|unix.O_WRONLY)
		for range 1000 {
			writeAll(fd, "x")
		}
		// So is an open that empties a file.
		for range 3 {
			check(unix.Close(open(unix.AT_FDCWD, "emptied", unix.O_CREAT|unix.O_TRUNC|unix.O_WRONLY)))
			time.Sleep(30 * time.Millisecond)
		}
		put("ready", "")
		await("go")

		writeAll(fd, "y")
		put("both", "after")
		check(os.Rename("mine", "ours"))
		check(os.Rename("old", "new"))
		check(os.Remove("gone"))
		check(os.Link("draft", "final"))
		check(os.Remove("draft"))
		check(os.Mkdir("folder", 0o755))

		// Memory is written to after the last call on the file.
		m := open(unix.AT_FDCWD, "mapped", unix.O_CREAT|unix.O_RDWR)
		check(unix.Ftruncate(m, 4096))
		mem, err := unix.Mmap(m, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		check(err)
		time.Sleep(30 * time.Millisecond)
		mem[0] = 'm'
		check(unix.Munmap(mem))

		_ = open(unix.AT_FDCWD, "opened", unix.O_WRONLY) // and no more
	}
	workloads["finals-mapped"] = func([]string) {
		check(exec.Command(self, workload("finals-mapping")[1:]...).Start())
		await("mapped-now")
	}
	workloads["finals-mapping"] = func([]string) {
		for i, prot := range []int{unix.PROT_READ | unix.PROT_WRITE, unix.PROT_READ} {
			name := []string{"writable", "readable"}[i]
			put(name, "text")
			fd := open(unix.AT_FDCWD, name, unix.O_RDWR)
			_, err := unix.Mmap(fd, 0, 4, prot, unix.MAP_SHARED)
			check(err)
			check(unix.Close(fd))
		}
		put("mapped-now", "")
		time.Sleep(time.Minute) // the test does not let it
	}
	workloads["finals-many"] = func([]string) {
		for i := range 1030 {
			put(fmt.Sprintf("%04d", i), "")
		}
		check(os.Remove("0000"))
	}
	workloads["finals-by-link"] = func([]string) {
		put("aim", "")
		check(os.Symlink("aim", "link"))
		time.Sleep(30 * time.Millisecond)
		check(os.Chmod("link", 0o640))
	}
}

// The file that stands at a written path at the end is the one that stat(2)
// shows, and the receipt says whether somebody else has changed it since.
func TestFinals(t *testing.T) {
	dir := tempDir(t)
	write(t, filepath.Join(dir, "opened"), "")
	check(os.Mkdir(filepath.Join(dir, "older"), 0o755))
	write(t, filepath.Join(dir, "older", "file"), "older")
	done := make(chan struct{})
	go func() {
		defer close(done)
		at := func(name string) string { return filepath.Join(dir, name) }
		await(at("ready"))
		time.Sleep(30 * time.Millisecond) // longer than the clock of files may lag
		put(at("theirs"), "after")
		check(os.Chmod(at("touched"), 0o640))
		put(at("both"), "between")
		check(os.Remove(at("replaced")))
		put(at("replaced"), "another file")
		// An older file comes to be at a path, by a rename above it.
		check(os.Rename(at("swapped"), at("aside")))
		check(os.Rename(at("older"), at("swapped")))
		put(at("go"), "")
	}()
	r := record(t, workload("finals"), in(dir))
	<-done
	complete(t, r)

	var got []string
	for _, f := range r.Filesystem.Files {
		name, ok := strings.CutPrefix(f.Path, dir+"/")
		if !ok || f.Final == nil {
			continue
		}
		if f.Final.Changed {
			name += " changed"
		}
		got = append(got, name)
		var st unix.Stat_t
		if err := unix.Lstat(f.Path, &st); err != nil {
			t.Error(err)
			continue
		}
		want := receipt.Final{
			Inode: st.Ino, Size: uint64(st.Size), ChangedAt: receipt.At(time.Unix(st.Ctim.Unix())),
			LastWrite: f.Final.LastWrite, Changed: f.Final.Changed,
		}
		if *f.Final != want {
			t.Errorf("%s: got %+v, want %+v", name, *f.Final, want)
		}
		if last := f.Final.LastWrite; last.Before(r.Timing.StartedAt.Time) || last.After(r.Timing.EndedAt.Time) {
			t.Errorf("%s was last written to at %s, outside of the run", name, last)
		}
	}
	want := []string{
		"alone", "both", "emptied", "final", "many", "mapped", "new", "ready", "replaced changed", "theirs changed",
		"swapped/file changed", "touched changed",
	}
	slices.Sort(want)
	same(t, "finals", want, got)
}

// What the run changed through a link was not changed by somebody else.
func TestFinalsByLink(t *testing.T) {
	dir := tempDir(t)
	r := record(t, workload("finals-by-link"), in(dir))
	complete(t, r)
	if f := file(t, r, dir+"/aim").Final; f == nil || f.Changed {
		t.Errorf("got %+v", f)
	}
}

// A device that looks like a file, and a switch in /proc, hold nothing.
func TestFinalsOfNoFiles(t *testing.T) {
	r := record(t, []string{"sh", "-c", "echo 0 >/proc/self/oom_score_adj; echo x >/dev/null"})
	complete(t, r)
	for _, f := range r.Filesystem.Files {
		if f.Final != nil {
			t.Errorf("%s: %+v", f.Path, *f.Final)
		}
	}
}

// What a survivor still has mapped it can change, and no clock tells.
func TestFinalsMapped(t *testing.T) {
	dir := tempDir(t)
	r := record(t, workload("finals-mapped"), in(dir))
	for _, s := range r.Observation.Survivors {
		defer unix.Kill(int(s.PID), unix.SIGKILL)
	}
	complete(t, r)
	for name, want := range map[string]bool{"writable": true, "readable": false, "mapped-now": false} {
		if f := file(t, r, dir+"/"+name).Final; f == nil || f.Changed != want {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// Where more was written than is looked at, the receipt says of how much
// nothing is known.
func TestFinalsOfMany(t *testing.T) {
	dir := tempDir(t)
	r := record(t, workload("finals-many"), in(dir))
	complete(t, r)
	known := 0
	for _, f := range r.Filesystem.Files {
		if strings.HasPrefix(f.Path, dir+"/") && f.Final != nil {
			known++
		}
	}
	var gaps []receipt.Gap
	for _, g := range r.Observation.Gaps {
		if g.Kind == receipt.GapFinal {
			gaps = append(gaps, g)
		}
	}
	if known != 1024 || len(gaps) != 1 || gaps[0].Count != 1029-1024 {
		t.Errorf("%d are known, and %+v", known, gaps)
	}
}

package procfs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What a process has mapped now is found, and not when it has it no more.
func TestReadMapped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	has := func() bool {
		all := ReadMapped().Has("", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
		if one := MappedBy([]int{os.Getpid()}).Has("", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino); one != all {
			t.Errorf("%t of this process, %t of all", one, all)
		}
		return all || MappedBy([]int{1}).Has("", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	}
	if err := f.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		prot, flags int
		want        bool
	}{
		{unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED, true},
		{unix.PROT_READ, unix.MAP_SHARED, false},
		{unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE, false},
	} {
		mem, err := unix.Mmap(int(f.Fd()), 0, 4096, c.prot, c.flags)
		if err != nil {
			t.Fatal(err)
		}
		if got := has(); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
		if err := unix.Munmap(mem); err != nil {
			t.Fatal(err)
		}
	}
	if has() {
		t.Error("it is not mapped any more")
	}
}

package attest

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// What a process has mapped so that it can change it has a content that nobody
// can vouch for; what can only be read is as good as any.
func TestMappedFiles(t *testing.T) {
	for prot, want := range map[int]string{
		unix.PROT_READ:                   "[]",
		unix.PROT_READ | unix.PROT_WRITE: "[map[path:%s reason:mapped by a process that can change it]]",
	} {
		path := t.TempDir() + "/file"
		write(t, path, "text")
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		mem, err := unix.Mmap(int(f.Fd()), 0, 4, prot, unix.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		run := signFiles(t, written(t, path))
		if want != "[]" {
			want = fmt.Sprintf(want, path)
		}
		if _, p := run.statement(t); fmt.Sprint(p["excluded"]) != want {
			t.Errorf("excluded is %v, want %s", p["excluded"], want)
		}
		if err := unix.Munmap(mem); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
}

//go:build linux

package microvm

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A workspace that is shared is for the command as one that was sent, and comes
// back as one; the folder on the host changes by --apply alone, whatever the
// guest's root does.
func TestShared(t *testing.T) {
	const script = `set -ex
test "$(cat keep link sub/deep/f)" = "1
1
1"
echo 2 >change; echo 1 >same; chmod 755 mode; rm gone; rm -r sub; mv keep moved; mkdir new; echo 3 >new/f; ln -s /etc/passwd way
mkdir /host; mount -t virtiofs workspace /host
! touch /host/evil
! rm /host/gone
mount -o remount,rw /host
! sh -c 'echo 9 >/host/change'
test ! -e /host/../evil`
	tree := func(dir string) (list []string) {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || path == dir {
				return err
			}
			line := d.Type().String() + " " + strings.TrimPrefix(path, dir+"/")
			if d.Type().IsRegular() {
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				info, err := d.Info()
				if err != nil {
					return err
				}
				line = info.Mode().String() + line[len(d.Type().String()):] + "=" + strings.TrimSpace(string(data))
			}
			list = append(list, line)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	for name, flags := range map[string][]string{"kept": nil, "applied": {"--apply"}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, "sub/deep"), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"keep", "change", "same", "mode", "gone", "sub/deep/f"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("1\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink("keep", filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			before := tree(dir)
			r := run(t, "", append(flags, "--workspace", dir, "--virtiofs"), "sh", "-c", script)
			if r.code != 0 {
				t.Fatalf("%d: %s", r.code, r.stderr)
			}
			complete(t, r.Receipt)
			w := r.Execution.VM.Workspace
			same(t, "added", []string{"moved", "new", "new/f"}, w.Added)
			same(t, "changed", []string{"change", "mode"}, w.Changed)
			same(t, "deleted", []string{"gone", "keep", "sub", "sub/deep", "sub/deep/f"}, w.Deleted)
			if len(w.Refused) != 1 || w.Refused[0].Path != "way" || w.Error != nil || w.Applied != (flags != nil) {
				t.Errorf("%+v", w)
			}
			want := before
			if flags != nil {
				want = []string{"-rw-r--r-- change=2", "L--------- link", "-rwxr-xr-x mode=1", "-rw-r--r-- moved=1", "d--------- new", "-rw-r--r-- new/f=3", "-rw-r--r-- same=1"}
			}
			if got := tree(dir); !slices.Equal(got, want) {
				t.Errorf("the folder has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// A machine whose folder is not served any more would wait for it for ever.
func TestSharedDaemonEnds(t *testing.T) {
	dir := t.TempDir()
	cmd := machine(t, dir, []string{"--workspace", t.TempDir(), "--virtiofs"}, "sh", "-c", "echo up; sleep 1000")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, field := range offspring() {
		line, _ := os.ReadFile("/proc/" + field + "/cmdline")
		pid, err := strconv.Atoi(field)
		if err == nil && bytes.Contains(line, []byte("virtiofsd\x00--socket-path=")) && unix.Kill(pid, unix.SIGKILL) == nil {
			killed++
		}
	}
	if killed == 0 {
		t.Error("no daemon was found")
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	r := read(t, dir)
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(failure(r), "virtiofsd ended") || r.Observation.Complete {
		t.Errorf("exit code %d, %q, complete %v", code, failure(r), r.Observation.Complete)
	}
}

//go:build linux

package microvm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"glasshouse/internal/cpio"
)

// built is a static program of testdata, in a folder of its own.
func built(t *testing.T, name string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), "./testdata/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// A machine that comes to a bad end leaves a receipt that says so, with what was
// recorded until then.
func TestBadEnds(t *testing.T) {
	reboot := built(t, "reboot")
	script := func(s string) []string { return []string{"sh", "-c", "echo before; sleep 0.3; " + s + "; sleep 100"} }
	for _, c := range []struct {
		name string
		argv []string
		want string
	}{
		{"panic", script("echo c >/proc/sysrq-trigger"), "Kernel panic - not syncing: sysrq triggered crash"},
		{"reset", script("echo b >/proc/sysrq-trigger"), "the virtual machine ended by itself"},
		{"off", script("echo o >/proc/sysrq-trigger"), "the virtual machine ended by itself"},
		{"reboot", []string{"./reboot", "01234567"}, "reboot: Restarting system"},
		{"power-off", []string{"./reboot", "4321fedc"}, "reboot: Power down"},
	} {
		t.Run(c.name, func(t *testing.T) { endsBadly(t, reboot, c.argv, c.want) })
	}
}

// A machine that was halted is not gone, and says nothing any more. That is
// waited for, two minutes.
func TestHalt(t *testing.T) {
	endsBadly(t, built(t, "reboot"), []string{"./reboot", "cdef0123"}, "the virtual machine has not answered for 2m0s: it was halted, or hangs")
}

func endsBadly(t *testing.T, workspace string, argv []string, want string) {
	t.Helper()
	r := run(t, "", []string{"--workspace", workspace}, argv...)
	if r.code != 1 || !strings.Contains(failure(r.Receipt), want) || r.stdout != "before\n" || !strings.Contains(r.stderr, want) {
		t.Errorf("%d, %q, %q, %q", r.code, failure(r.Receipt), r.stdout, r.stderr)
	}
	if r.Observation.Complete || r.Observation.Reason == nil || !strings.Contains(*r.Observation.Reason, want) || len(r.ProcessTree) == 0 {
		t.Errorf("%+v", r.Observation)
	}
	if w := r.Execution.VM.Workspace; w == nil || w.Error == nil || w.Applied {
		t.Errorf("%+v", w)
	}
}

// A killed monitor too.
func TestKilledMonitor(t *testing.T) {
	dir := t.TempDir()
	cmd := machine(t, dir, nil, "sh", "-c", "echo ready; sleep 300")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	killed := false
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", cmd.Process.Pid))
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(children)) {
			line, _ := os.ReadFile("/proc/" + field + "/cmdline")
			var pid int
			if _, err := fmt.Sscan(field, &pid); err == nil && bytes.Contains(line, []byte("qemu")) {
				killed = unix.Kill(pid, unix.SIGKILL) == nil
			}
		}
	}
	if !killed {
		_ = cmd.Process.Kill()
		t.Fatal("no monitor was found")
	}
	_, _ = io.ReadAll(out)
	_ = cmd.Wait()
	r := read(t, dir)
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(failure(r), "the virtual machine's monitor ended: signal: killed") || r.Observation.Complete {
		t.Errorf("%v, %q", cmd.ProcessState, failure(r))
	}
}

// imageWith is an image like that of the tests, but for its initramfs.
func imageWith(t *testing.T, initramfs []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(image), "image-") // its files are links
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	files, err := os.ReadDir(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Link(filepath.Join(image, f.Name()), filepath.Join(dir, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(image, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(initramfs)
	part := manifest["parts"].(map[string]any)["initramfs"].(map[string]any)
	part["sha256"], part["size"] = hex.EncodeToString(sum[:]), len(initramfs)
	if data, err = json.Marshal(manifest); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"manifest.json": data, part["file"].(string): initramfs} {
		file := filepath.Join(dir, name)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What does not boot is given up, with the reason.
func TestNoBoot(t *testing.T) {
	hang, err := os.ReadFile(filepath.Join(built(t, "hang"), "hang"))
	if err != nil {
		t.Fatal(err)
	}
	archive := func(name string, content []byte) []byte {
		var b bytes.Buffer
		w := cpio.NewWriter(&b)
		w.File(name, 0o755, content)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	stuck := filepath.Join(t.TempDir(), "qemu-system-x86_64")
	if err := os.WriteFile(stuck, []byte("#!/bin/sh\n[ \"$1\" = --version ] && echo QEMU emulator version 7.2.1 && exit\nexec sleep 300\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		flags      []string
		want       string
	}{
		{"hangs", "", []string{"--image", imageWith(t, archive("init", hang)), "--boot-timeout", "15s"},
			"the machine's recorder has not called within 15s (--boot-timeout gives it longer)"},
		{"no init", "", []string{"--image", imageWith(t, archive("nothing", nil))}, "Kernel panic - not syncing"},
		{"no kernel", "", []string{"--kernel", write(t, "words")}, "the virtual machine's monitor ended: exit status 1: "},
		{"monitor hangs", filepath.Dir(stuck), []string{"--boot-timeout", "2s"}, "the machine's recorder has not called within 2s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.path != "" {
				t.Setenv("PATH", c.path+":"+os.Getenv("PATH"))
			}
			r := run(t, "", c.flags, "true")
			if r.code != 1 || !strings.Contains(failure(r.Receipt), c.want) || !strings.Contains(r.stderr, c.want) {
				t.Errorf("%d, %q, %q", r.code, failure(r.Receipt), r.stderr)
			}
			if o := r.Observation; o.Mode != "none" || o.Complete || len(r.ProcessTree) != 0 {
				t.Errorf("%+v", o)
			}
			t.Logf("%v: %s", r.took, failure(r.Receipt))
		})
	}
}

// A machine without memory left has its kernel kill: the run has failed then, and
// the receipt says of what, and is whole.
func TestMemory(t *testing.T) {
	small := []string{"--memory", "256M"}
	for _, c := range []struct {
		name, script, stdout string
		code                 int
		want                 string // how the error begins
		end                  string // and how it ends
	}{
		{"command", "exec tail /dev/zero", "", 1, "the virtual machine ran out of memory: its kernel killed tail (", "the command ended with SIGKILL"},
		{"child", "cat /proc/self/oom_score_adj; tail /dev/zero; echo $?; exit 5", "0\n137\n", 1,
			"the virtual machine ran out of memory: its kernel killed tail (", "the command ended with exit code 5"},
		// The limit of a group is not the machine's.
		{"group", `cd /sys/fs/cgroup; echo +memory >cgroup.subtree_control; mkdir g; echo 20M >g/memory.max
			sh -c 'echo $$ >g/cgroup.procs; exec tail /dev/zero'; exit $?`, "", 137, "", ""},
		// Nor is a line in the log that the kernel did not write.
		{"said", "echo 'Out of memory: Killed process 1 (x) total-vm:1kB' >/dev/kmsg", "", 0, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, "", small, "sh", "-c", c.script)
			got := failure(r.Receipt)
			if r.code != c.code || r.stdout != c.stdout || !strings.HasPrefix(got, c.want) || !strings.HasSuffix(got, c.end) || (c.want == "") != (got == "") {
				t.Errorf("%d, %q, %q, %q", r.code, r.stdout, got, r.stderr)
			}
			if c.want != "" && !strings.Contains(r.stderr, c.want) {
				t.Errorf("%q", r.stderr)
			}
			complete(t, r.Receipt)
			if c.want == "" {
				return
			}
			last := r.ProcessTree[len(r.ProcessTree)-1]
			if last.Signal == nil || *last.Signal != "SIGKILL" || !strings.Contains(got, fmt.Sprintf("tail (%d)", last.PID)) {
				t.Errorf("%+v, %q", last, got)
			}
		})
	}
}

// Files that root keeps in memory no kill gives back: then the machine panics, or
// the recorder is all that is left in it.
func TestNoMemoryLeft(t *testing.T) {
	r := run(t, "", []string{"--memory", "256M"}, "sh", "-c", "mkdir /m; mount -t tmpfs -o size=10g none /m; cat /dev/zero >/m/x")
	if r.code != 1 || !strings.Contains(failure(r.Receipt), "memory") {
		t.Errorf("%d, %q", r.code, failure(r.Receipt))
	}
	t.Logf("%q, complete %v", failure(r.Receipt), r.Observation.Complete)
}

// What is written has one limit, which leaves the recorder its memory. Who
// reaches it is told so, and so is the reader of the receipt.
func TestRoom(t *testing.T) {
	const full = "the virtual machine had no room left for files (--memory gives it more); the command ended with exit code "
	for _, c := range []struct {
		name, script, stderr string
		code                 int
		want                 string
	}{
		{"root", "dd if=/dev/zero of=/big bs=1M", "No space left on device", 1, full + "1"},
		{"ignored", "cat /dev/zero >/var/big; exit 0", "No space left on device", 1, full + "0"},
		{"meanwhile", "cat /dev/zero >/tmp/big; sleep 0.5; rm /tmp/big; exit 3", "No space left on device", 1, full + "3"},
		{"together", "for d in /tmp /run /dev/shm /workspace /; do head -c 20M /dev/zero >$d/part || exit 4; done", "No space left on device", 1, full + "4"},
		{"names", "python3 -c 'import os\nfor i in range(1<<20): os.mkdir(\"/tmp/%d\" % i)'; exit 6", "No space left on device", 1, full + "6"},
		{"enough", "for d in /tmp /run /dev/shm; do head -c 10M /dev/zero >$d/part || exit 4; done", "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "old"), []byte("1"), 0o600); err != nil {
				t.Fatal(err)
			}
			r := run(t, "", []string{"--memory", "256M", "--workspace", dir, "--apply"}, "sh", "-c", "echo 2 >old; mkdir made; "+c.script)
			if r.code != c.code || failure(r.Receipt) != c.want || !strings.Contains(r.stderr, c.stderr) || !strings.Contains(r.stderr, c.want) {
				t.Errorf("%d, %q, %q", r.code, failure(r.Receipt), r.stderr)
			}
			complete(t, r.Receipt)
			// The change of the workspace came back. A run that failed is not applied.
			w := r.Execution.VM.Workspace
			if w == nil || w.Error != nil || len(w.Changed) != 1 || w.Changed[0] != "old" || len(w.Added) == 0 || w.Applied != (c.code == 0) {
				t.Errorf("%+v", w)
			}
			if err := r.Observation.Reason; err != nil {
				t.Error(*err)
			}
		})
	}
}

// A workspace that the machine has no room for is an error before the command.
func TestWorkspaceTooLarge(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, 200<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, "", []string{"--memory", "256M", "--workspace", dir}, "true")
	if got := failure(r.Receipt); r.code != 1 || !strings.HasPrefix(got, "make the workspace: ") || !strings.HasSuffix(got, "no space left on device (--memory gives it more)") {
		t.Errorf("%d, %q", r.code, got)
	}
}

package firecracker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"glasshouse/backend/microvm/engine"
)

// limit is far above what anything here takes.
const limit = time.Minute

const holderName = "holder"

type holderOrder struct {
	Engine  Engine
	KVM     string
	Machine engine.Machine
}

func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case fakeName:
		fakeFirecracker()
	case fakeJailerName:
		fakeJailer()
	case holderName:
		fakeHolder()
	case heirName:
		time.Sleep(time.Minute)
	default:
		// What is left behind becomes a child of this process, and is seen.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	os.Exit(0)
}

// soon is for what is waited for in vain. All else gets the time that it needs
// on a busy machine.
const soon = time.Second

var patient = patience{version: limit, socket: limit, call: limit, start: limit, drain: limit / 10}

// setUp makes a Firecracker of that scenario, with its jailer if it is to be
// jailed, and a machine to boot. After the test nothing may be left.
func setUp(t *testing.T, jailed bool, s scenario) (Engine, engine.Machine) {
	t.Helper()
	if jailed && os.Geteuid() != 0 {
		t.Skip("a jail takes root")
	}
	nothingLeft(t)
	dir := t.TempDir()
	e := Engine{Program: filepath.Join(dir, fakeName), Jailer: NoJailer, patience: patient, kvm: filepath.Join(dir, "kvm")}
	names := []string{fakeName}
	if jailed {
		e.Jailer = filepath.Join(dir, fakeJailerName)
		names = append(names, fakeJailerName)
	}
	for _, name := range names {
		link(t, filepath.Join(dir, name))
	}
	s.Version = or(s.Version, "1.8.0")
	s.Jailer = or(s.Jailer, s.Version)
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	m := engine.Machine{
		Kernel: filepath.Join(dir, "vmlinux"), Initramfs: filepath.Join(dir, "initrd"), RootFS: filepath.Join(dir, "root.ext4"),
		CommandLine: "quiet glasshouse.root=ext4 -- guest", MemoryMiB: 512, CPUs: 2,
		Dir: filepath.Join(dir, "private"),
	}
	if err := os.Mkdir(m.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(dir, scenarioName): string(text), e.kvm: "",
		m.Kernel: kernelText, m.Initramfs: initramfsText, m.RootFS: rootFSText,
	} {
		write(t, path, text, 0o644)
	}
	if text, err := os.ReadFile(description); err == nil {
		write(t, filepath.Join(dir, specName), string(text), 0o644)
	}
	t.Cleanup(func() {
		left, err := os.ReadDir(m.Dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the private folder: %v, %v", left, err)
		}
	})
	return e, m
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// link has this program at another path. A symbolic link would be followed.
func link(t *testing.T, path string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if os.Link(exe, path) == nil {
		return
	}
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(text), 0o755)
}

// nothingLeft compares, after the test, processes, descriptors and goroutines
// with those before.
func nothingLeft(t *testing.T) {
	t.Helper()
	routines, files := runtime.NumGoroutine(), descriptors(t)
	t.Cleanup(func() {
		var left string
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			left = ""
			if list := children(t); len(list) > 0 {
				left += fmt.Sprintf("processes %q; ", list)
			}
			if now := descriptors(t); len(now) > len(files) {
				left += fmt.Sprintf("descriptors %q, not %q; ", now, files)
			}
			if now := runtime.NumGoroutine(); now > routines {
				left += fmt.Sprintf("%d goroutines, not %d; ", now, routines)
			}
			if left == "" {
				return
			}
		}
		t.Error("left behind: " + left)
	})
}

func descriptors(t *testing.T) []string {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range list {
		// Go's poller opens its own when it is needed first.
		to, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err == nil && to != "anon_inode:[eventpoll]" && to != "anon_inode:[eventfd]" {
			found = append(found, to)
		}
	}
	return found
}

// children are the command lines of this process's children. Those that
// nobody waits for are reaped.
func children(t *testing.T) []string {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range tasks {
		text, _ := os.ReadFile(path)
		for _, pid := range strings.Fields(string(text)) {
			line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			if len(line) == 0 { // it has ended
				n, _ := strconv.Atoi(pid)
				if got, _ := unix.Wait4(n, nil, unix.WNOHANG, nil); got == n {
					continue
				}
			}
			found = append(found, pid+" "+string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// both runs a test with and without a jail.
func both(t *testing.T, test func(t *testing.T, jailed bool)) {
	for _, jailed := range []bool{false, true} {
		t.Run(map[bool]string{false: "bare", true: "jailed"}[jailed], func(t *testing.T) { test(t, jailed) })
	}
}

func boot(t *testing.T, e Engine, m engine.Machine) engine.VM {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	vm, err := e.Boot(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		vm.Kill()
		<-vm.Done()
	})
	return vm
}

func wait(t *testing.T, vm engine.VM) {
	t.Helper()
	select {
	case <-vm.Done():
	case <-time.After(limit):
		t.Fatalf("it does not end; its console: %s", vm.Console())
	}
}

// call takes the guest's call, and talks.
func call(t *testing.T, vm engine.VM) (hangUp func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	conn, err := vm.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(limit))
	in := bufio.NewReader(conn)
	for _, word := range []string{"hello\n", "echo\n"} {
		if word == "echo\n" {
			if _, err := io.WriteString(conn, word); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := in.ReadString('\n'); got != word || err != nil {
			t.Fatalf("the guest says %q, %v, not %q", got, err, word)
		}
	}
	return func() { conn.Close() }
}

// requests are those that the fake printed.
func requests(vm engine.VM) (found []string) {
	for line := range strings.Lines(vm.Console()) {
		if request, ok := strings.CutPrefix(line, "api: "); ok {
			found = append(found, strings.TrimSpace(request))
		}
	}
	return found
}

// TestBoot is a whole life, with every request held against Firecracker's
// published description.
func TestBoot(t *testing.T) {
	published(t)
	both(t, func(t *testing.T, jailed bool) {
		e, m := setUp(t, jailed, scenario{Version: "1.17.0-dev"})
		e.patience.drain = 2 * limit // there is nothing to wait for
		// Who may write to a file may not from a jail.
		if err := os.Chmod(m.RootFS, 0o666); err != nil {
			t.Fatal(err)
		}
		booted := boot(t, e, m)
		hangUp := call(t, booted)

		paths := files{"kernel", "initramfs", "rootfs"}
		if !jailed {
			paths = files{m.Kernel, m.Initramfs, m.RootFS}
		}
		want := []string{
			`GET /version`,
			`GET /`,
			`PUT /logger {"log_path":"log","level":"Warning","show_level":true}`,
			`PUT /machine-config {"vcpu_count":2,"mem_size_mib":512}`,
			`PUT /boot-source {"kernel_image_path":"` + paths.kernel + `","initrd_path":"` + paths.initramfs + `","boot_args":"` +
				ownParameters() + ` quiet glasshouse.root=ext4 -- guest"}`,
			`PUT /drives/rootfs {"drive_id":"rootfs","path_on_host":"` + paths.rootFS + `","is_root_device":false,"is_read_only":true}`,
			`PUT /entropy {}`,
			`PUT /vsock {"guest_cid":3,"uds_path":"v.sock"}`,
			`PUT /actions {"action_type":"InstanceStart"}`,
		}
		if diff := cmp.Diff(want, requests(booted)); diff != "" {
			t.Error(diff)
		}
		facts := booted.Facts()
		if took := time.Since(facts.Started); took < 0 || took > time.Minute {
			t.Errorf("started at %v", facts.Started)
		}
		facts.Started = time.Time{}
		if want := (engine.Facts{Path: e.Program, Version: "1.17.0-dev", Accelerator: "kvm"}); facts != want {
			t.Errorf("facts: %+v", facts)
		}
		if jailed {
			confined(t)
		}
		if _, err := booted.Accept(t.Context()); err == nil || !strings.Contains(err.Error(), "taken already") {
			t.Errorf("accept again: %v", err)
		}
		if conn, err := net.Dial("unix", booted.(*vm).room.in("v.sock_1024")); err == nil {
			conn.Close()
			t.Error("a second call can be made")
		}
		if err := booted.Err(); err == nil || err.Error() != "it has not ended" {
			t.Errorf("before the end: %v", err)
		}
		select {
		case <-booted.Done():
			t.Error("it is done before the guest is")
		default:
		}
		hangUp()
		wait(t, booted)
		if err := booted.Err(); err != nil {
			t.Error(err)
		}
		console := booted.Console()
		for _, part := range []string{"Linux version 6.1.0\n", `\x1b[31mred\x1b[0m \xff` + "\n", "The guest was started.\n"} {
			if !strings.Contains(console, part) {
				t.Errorf("the console lacks %q: %q", part, console)
			}
		}
		booted.Kill() // of what has ended is nothing
	})
}

// confined looks at the jailed Firecracker from outside.
func confined(t *testing.T) {
	t.Helper()
	pids := descendants(t, os.Getpid())
	if len(pids) != 2 {
		t.Fatalf("processes %v are not a keeper and a Firecracker", pids)
	}
	pid := pids[1]
	for _, kind := range []string{"pid", "mnt", "net", "ipc"} {
		own, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind)); got == own || err != nil {
			t.Errorf("namespace %s, %v, is this process's", got, err)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		switch field := strings.Fields(line); field[0] {
		case "Uid:", "Gid:":
			for _, text := range field[1:] {
				if id, err := strconv.Atoi(text); err != nil || id < firstID || id >= firstID+countID {
					t.Errorf("%s %v", field[0], field[1:])
				}
			}
		case "Groups:":
			if len(field) > 1 {
				t.Errorf("groups %v", field[1:])
			}
		case "CapEff:":
			if strings.Trim(field[1], "0") != "" {
				t.Errorf("capabilities %s", field[1])
			}
		}
	}
}

// TestFewer: neither initramfs nor root file system is asked for that is not
// there.
func TestFewer(t *testing.T) {
	e, m := setUp(t, false, scenario{Guest: "silent", At: "PUT /boot-source", Do: "400"})
	m.Initramfs, m.RootFS, m.CommandLine = "", "", ""
	if _, err := e.Boot(t.Context(), m); err == nil || !strings.Contains(err.Error(), `api: PUT /boot-source {"kernel_image_path":"`+m.Kernel+`","boot_args":"`+ownParameters()+`"}`) {
		t.Errorf("got %v", err)
	}
}

// TestLongPath: a socket's address has 108 bytes.
func TestLongPath(t *testing.T) {
	both(t, func(t *testing.T, jailed bool) {
		e, m := setUp(t, jailed, scenario{})
		private := m.Dir
		m.Dir = filepath.Join(m.Dir, strings.Repeat("long/", 40))
		if err := os.MkdirAll(m.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		vm := boot(t, e, m)
		call(t, vm)()
		wait(t, vm)
		if left, err := os.ReadDir(m.Dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
		if err := os.RemoveAll(filepath.Join(private, "long")); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTwo: machines do not disturb each other.
func TestTwo(t *testing.T) {
	both(t, func(t *testing.T, jailed bool) {
		e, m := setUp(t, jailed, scenario{})
		first, second := boot(t, e, m), boot(t, e, m)
		hangUp := call(t, second)
		first.Kill()
		wait(t, first)
		select {
		case <-second.Done():
			t.Fatal("one ended with the other")
		default:
		}
		hangUp()
		wait(t, second)
		if err := second.Err(); err != nil {
			t.Error(err)
		}
	})
}

// TestPrivateFiles: what others may not read is there for the jailed all the
// same, and is not changed.
func TestPrivateFiles(t *testing.T) {
	e, m := setUp(t, true, scenario{})
	before := map[string]os.FileInfo{}
	for _, path := range []string{m.Kernel, m.RootFS} {
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		before[path] = info
	}
	vm := boot(t, e, m)
	call(t, vm)()
	wait(t, vm)
	for path, was := range before {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(was.Sys(), info.Sys(), cmp.FilterPath(func(p cmp.Path) bool {
			return strings.HasPrefix(p.Last().String(), ".Atim")
		}, cmp.Ignore()), cmp.AllowUnexported()); diff != "" {
			t.Errorf("%s was changed: %s", path, diff)
		}
	}
}

// TestMounts: a temporary folder may lie where there are neither devices nor
// programs, and no mount is seen outside of the jail.
func TestMounts(t *testing.T) {
	e, m := setUp(t, true, scenario{})
	dir := filepath.Join(filepath.Dir(m.Dir), "mounted")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOSUID, ""); err != nil {
		t.Skip("no file system can be mounted: " + err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	// As systemd has it for all: what is mounted in one namespace is in others.
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Error(err)
	}
	before, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	m.Dir = dir
	vm := boot(t, e, m)
	hangUp := call(t, vm)
	during, err := os.ReadFile("/proc/self/mounts")
	if err != nil || !bytes.Equal(before, during) {
		t.Errorf("mounts, %v: %s", err, cmp.Diff(string(before), string(during)))
	}
	hangUp()
	wait(t, vm)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// fails boots what cannot be, and sees how it is said and how soon.
func fails(t *testing.T, e Engine, m engine.Machine, parts ...string) {
	t.Helper()
	begin := time.Now()
	vm, err := e.Boot(t.Context(), m)
	if took := time.Since(begin); took > limit/2 {
		t.Errorf("it took %v", took)
	}
	if err == nil {
		vm.Kill()
		<-vm.Done()
		t.Fatal("it was booted")
	}
	said := err.Error()
	for _, part := range parts {
		if !strings.Contains(said, part) {
			t.Errorf("%q lacks %q", said, part)
		}
	}
	if strings.ContainsFunc(said, func(r rune) bool { return r < ' ' }) || len(said) > 4<<10 {
		t.Errorf("%q is no line to show", said)
	}
	var ours *Error
	if !errors.As(err, &ours) {
		t.Errorf("%T is no *Error", err)
	}
}

// TestRefusals: whatever is answered instead has a clear error, soon.
func TestRefusals(t *testing.T) {
	all := []string{"GET /version", "GET /", "PUT /logger", "PUT /machine-config", "PUT /boot-source", "PUT /drives/rootfs",
		"PUT /entropy", "PUT /vsock", "PUT /actions"}
	first, end := all[:1], all[8:]
	for _, tc := range []struct {
		do     string
		at     []string
		want   string // a part of the error
		jailed string // the same in a jail, where it is tried
	}{
		{"400", all, `it does not like \x1b[31mit (400)`, "(400)"},
		{"400 bare", end, "status 400", ""},
		{"500", first, "status 500: oh dear", ""},
		{"another success", all[2:3], "status 202", ""},
		{"elsewhere", first, "status 302", ""},
		{"hang", []string{"GET /version", "PUT /actions"}, "no answer within 1s", "no answer within 1s"},
		{"half", first, "no answer within 1s", ""},
		{"drip", end, "no answer within 1s", ""},
		{"garbage", end, "malformed HTTP", ""},
		{"close", all[7:], "the connection ended before the answer", "the connection ended before the answer"},
		{"huge", first, "the answer is longer than 65536 bytes", ""},
		{"huge header", end, "header", ""},
		{"interim", end, "header", ""},
		{"not JSON", first, "the answer is not what was asked for", ""},
		{"another id", all[1:2], `it is "other"`, ""},
		{"old", first, "it is version 1.7.9, and 1.8.0 is the oldest", ""},
		{"no version", first, `"new" is not a version`, ""},
		{"exit", all[7:], "it ended with exit code 148: a system call that its seccomp filter forbids", "it ended with exit code 148: "},
		{"die", end, "it ended: signal: killed", "it ended with exit code 137"},
	} {
		refuses := func(jailed bool, at, want string) {
			t.Run(fmt.Sprintf("%s %s jailed %v", tc.do, at, jailed), func(t *testing.T) {
				e, m := setUp(t, jailed, scenario{At: at, Do: tc.do})
				switch {
				case tc.do == "close":
					e.patience.drain = soon
				case !strings.HasPrefix(want, "no answer"):
				case at == "PUT /actions":
					e.patience.start = soon
				default:
					e.patience.call = soon
				}
				fails(t, e, m, at+": ", want)
			})
		}
		for _, at := range tc.at {
			refuses(false, at, tc.want)
		}
		if tc.jailed != "" {
			refuses(true, tc.at[len(tc.at)-1], tc.jailed)
		}
	}
}

// TestLastWords: an error has the end of the log, and before that the output.
func TestLastWords(t *testing.T) {
	e, m := setUp(t, false, scenario{At: "PUT /vsock", Do: "400"})
	fails(t, e, m, "(it said: ", "WARN] Something is wrong.")
	e, m = setUp(t, false, scenario{Start: "exit"})
	fails(t, e, m, "it ended with exit code 3", "(it said: fake: cannot start at all)")
}

// TestStarts: what does not come as far as an answer.
func TestStarts(t *testing.T) {
	for _, tc := range []struct{ start, want string }{
		{"exit", "it ended with exit code 3"},
		{"no socket", "it does not listen on its socket within 1s"},
		{"deaf", "it does not listen on its socket within 1s"},
		{"mute", "GET /version: no answer within 1s"},
		{"jailer exit", "(it said: fake: no jail for you)"},
	} {
		both(t, func(t *testing.T, jailed bool) {
			if tc.start == "jailer exit" && !jailed {
				return
			}
			t.Run(tc.start, func(t *testing.T) {
				e, m := setUp(t, jailed, scenario{Start: tc.start})
				switch tc.start {
				case "no socket", "deaf":
					e.patience.socket = soon
				case "mute":
					e.patience.call = soon
				}
				fails(t, e, m, tc.want)
			})
		})
	}
}

// TestKeeper: a jail that cannot be made is said.
func TestKeeper(t *testing.T) {
	e, m := setUp(t, true, scenario{})
	gone := filepath.Join(filepath.Dir(m.Dir), "gone")
	in, err := e.Installed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRoom(in, m)
	if err != nil {
		t.Fatal(err)
	}
	r.jail.Binds = append(r.jail.Binds, bind{gone, r.jail.Root + "/gone"})
	v, err := e.start(in, r)
	if err != nil {
		t.Fatal(err)
	}
	err = v.boot(t.Context(), m)
	close(v.tried)
	err = v.abandon(t.Context(), err)
	if want := "glasshouse: make the jail: bind " + gone + ": no such file or directory"; !strings.Contains(err.Error(), want) {
		t.Errorf("%v lacks %q", err, want)
	}
}

// TestNoKeeper: by its name alone nobody is one, and mounts on the host.
func TestNoKeeper(t *testing.T) {
	keeper := exec.Command("/proc/self/exe")
	keeper.Args = []string{keeperName, `{}`}
	if out, err := keeper.CombinedOutput(); err == nil || !strings.Contains(string(out), "not the first process") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestNotExecutable: the start itself fails.
func TestNotExecutable(t *testing.T) {
	e, m := setUp(t, false, scenario{})
	in, err := e.Installed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRoom(in, m)
	if err != nil {
		t.Fatal(err)
	}
	r.argv[0] = m.Kernel
	if _, err := e.start(in, r); !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v", err)
	}
	r.remove()
}

// TestEnds: how a machine ended, and what Accept makes of it.
func TestEnds(t *testing.T) {
	t.Run("exit code", func(t *testing.T) {
		both(t, func(t *testing.T, jailed bool) {
			e, m := setUp(t, jailed, scenario{Exit: 7})
			vm := boot(t, e, m)
			call(t, vm)()
			wait(t, vm)
			if err := vm.Err(); err == nil || err.Error() != "it ended with exit code 7" {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("killed", func(t *testing.T) {
		both(t, func(t *testing.T, jailed bool) {
			e, m := setUp(t, jailed, scenario{Guest: "silent"})
			vm := boot(t, e, m)
			accepted := make(chan error, 1)
			go func() {
				_, err := vm.Accept(context.Background())
				accepted <- err
			}()
			time.Sleep(20 * time.Millisecond)
			vm.Kill()
			vm.Kill()
			wait(t, vm)
			if err := vm.Err(); err == nil || err.Error() != "it was killed" {
				t.Errorf("got %v", err)
			}
			if err := <-accepted; err == nil || !strings.Contains(err.Error(), "the machine ended before the guest called: it was killed") {
				t.Errorf("accept: %v", err)
			}
		})
	})
	for _, tc := range []struct{ guest, err, accept string }{
		{"exit", "it ended with exit code 149: SIGBUS", "it ended with exit code 149: SIGBUS (it said: "},
		{"panic", "", "it ended with exit code 0"},
	} {
		t.Run(tc.guest, func(t *testing.T) {
			both(t, func(t *testing.T, jailed bool) {
				e, m := setUp(t, jailed, scenario{Guest: tc.guest})
				vm := boot(t, e, m)
				_, err := vm.Accept(t.Context())
				if err == nil || !strings.Contains(err.Error(), tc.accept) {
					t.Errorf("accept: %v", err)
				}
				// The guest may say anything, and is no witness of the end.
				if err != nil && strings.Contains(err.Error(), "panic") {
					t.Errorf("accept: %v", err)
				}
				wait(t, vm)
				if err := vm.Err(); (err == nil) != (tc.err == "") || err != nil && err.Error() != tc.err {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// TestDone: a done context ends an attempt, and not the machine.
func TestDone(t *testing.T) {
	both(t, func(t *testing.T, jailed bool) {
		gone := errors.New("enough")
		e, m := setUp(t, jailed, scenario{At: "PUT /vsock", Do: "hang"})
		ctx, cancel := context.WithCancelCause(t.Context())
		timer := time.AfterFunc(300*time.Millisecond, func() { cancel(gone) })
		defer timer.Stop()
		if _, err := e.Boot(ctx, m); !errors.Is(err, gone) {
			t.Errorf("boot: %v", err)
		}
		if _, err := e.Boot(ctx, m); !errors.Is(err, gone) {
			t.Errorf("boot again: %v", err)
		}

		e, m = setUp(t, jailed, scenario{Guest: "silent"})
		ctx, cancel = context.WithCancelCause(t.Context())
		vm, err := e.Boot(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { vm.Kill(); <-vm.Done() }()
		cancel(gone)
		if _, err := vm.Accept(ctx); !errors.Is(err, gone) {
			t.Errorf("accept: %v", err)
		}
		select {
		case <-vm.Done():
			t.Error("the machine ended")
		case <-time.After(50 * time.Millisecond):
		}
	})
}

// TestFlood: a guest that prints and makes Firecracker log without an end
// neither fills the memory nor is held up.
func TestFlood(t *testing.T) {
	e, m := setUp(t, false, scenario{Flood: true})
	vm := boot(t, e, m)
	call(t, vm)()
	wait(t, vm)
	console := vm.Console()
	if len(console) > 64<<10 || !strings.Contains(console, "the end\n") || !strings.HasSuffix(console, "that is logged.\n") {
		t.Errorf("%d bytes of console, ending %q", len(console), last(console, 2))
	}
}

// TestHeir: whoever still holds the output is not waited for.
func TestHeir(t *testing.T) {
	e, m := setUp(t, false, scenario{Guest: "heir"})
	e.patience.drain = 100 * time.Millisecond
	vm := boot(t, e, m)
	wait(t, vm)
	if err := vm.Err(); err != nil {
		t.Error(err)
	}
	heirs := descendants(t, os.Getpid())
	if len(heirs) != 1 {
		t.Fatalf("the heirs are %v", heirs)
	}
	if err := unix.Kill(heirs[0], unix.SIGKILL); err != nil {
		t.Error(err)
	}
}

// TestOrphans: when glasshouse is killed, so is all that it started.
func TestOrphans(t *testing.T) {
	both(t, func(t *testing.T, jailed bool) {
		e, m := setUp(t, jailed, scenario{Guest: "silent"})
		order, err := json.Marshal(holderOrder{Engine: e, KVM: e.kvm, Machine: m})
		if err != nil {
			t.Fatal(err)
		}
		holder := &exec.Cmd{Path: "/proc/self/exe", Args: []string{holderName, string(order)}, Stderr: os.Stderr}
		out, err := holder.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		running := descendants(t, holder.Process.Pid)
		if err := holder.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = holder.Wait()
		if err != nil || line != "booted true\n" {
			t.Fatalf("the holder says %q, %v", line, err)
		}
		if want := map[bool]int{false: 1, true: 2}[jailed]; len(running) != want {
			t.Errorf("%d processes %v, not %d", len(running), running, want)
		}
		end := time.Now().Add(limit)
		for _, pid := range running {
			for unix.Kill(pid, 0) == nil && len(children(t)) > 0 {
				if time.Now().After(end) {
					t.Fatalf("process %d goes on: %q", pid, children(t))
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
		// The room is the caller's to remove, now that nobody else can.
		left, err := os.ReadDir(m.Dir)
		if err != nil || len(left) != 1 {
			t.Errorf("left: %v, %v", left, err)
		}
		for _, entry := range left {
			if err := os.RemoveAll(filepath.Join(m.Dir, entry.Name())); err != nil {
				t.Error(err)
			}
		}
	})
}

func descendants(t *testing.T, pid int) (found []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range tasks {
		text, _ := os.ReadFile(path)
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			found = append(append(found, child), descendants(t, child)...)
		}
	}
	slices.Sort(found)
	return found
}

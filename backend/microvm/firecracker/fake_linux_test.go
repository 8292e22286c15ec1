package firecracker

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is Firecracker and jailer too, by these names. What they are
// to do and to know lies in files beside them, which the jailer takes along.
const (
	fakeName       = "firecracker"
	fakeJailerName = "jailer"
	scenarioName   = "scenario.json"
	specName       = "firecracker.yaml"
	heirName       = "heir"
)

// scenario is how a Firecracker behaves.
type scenario struct {
	Version string // what it says
	Jailer  string // the version that the jailer says
	Start   string // exit, no socket, deaf, mute; "" is well
	At, Do  string // a request, as "PUT /vsock", and what is done instead
	Guest   string // silent, exit, panic, heir; "" calls
	Exit    int    // code, once the guest's call has ended
	Flood   bool   // of the console, before the guest calls
}

// Files that the tests boot, with their contents.
const (
	kernelText    = "this is the kernel"
	initramfsText = "this is the initramfs"
	rootFSText    = "this is the root file system"
)

// die is for what a fake finds wrong.
func die(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "fake: "+format+"\n", args...)
	os.Exit(3)
}

func must(err error) {
	if err != nil {
		die("%v", err)
	}
}

func readScenario() (s scenario) {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(os.Args[0]), scenarioName))
	must(err)
	must(json.Unmarshal(text, &s))
	return s
}

// fakeFirecracker is a Firecracker whose guest calls and echoes.
func fakeFirecracker() {
	s := readScenario()
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		switch s.Version {
		case "hangs":
			time.Sleep(time.Minute)
		case "fails":
			os.Exit(1)
		}
		fmt.Printf("Firecracker v%s\n\nmore\n", s.Version)
		return
	}
	jailed := os.Args[0] == "/"+fakeName
	set := flag.NewFlagSet(fakeName, flag.ContinueOnError)
	id := set.String("id", "", "")
	socket := set.String("api-sock", "", "")
	if jailed {
		for _, name := range []string{"start-time-us", "start-time-cpu-us", "parent-cpu-time-us"} {
			set.Int64(name, 0, "")
		}
	}
	must(set.Parse(os.Args[1:]))
	cwd, err := os.Getwd()
	must(err)
	switch {
	case set.NArg() > 0:
		die("arguments %q", set.Args())
	case len(os.Environ()) > 0:
		die("the environment holds %q", os.Environ())
	case *id == "" || len(*id) > 64 || strings.Trim(*id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		die("the id is %q", *id)
	case *socket == "":
		die("no socket")
	case jailed && (cwd != "/" || os.Getuid() < 1000 || os.Getgid() != os.Getuid()):
		die("jailed at %s with user %d and group %d", cwd, os.Getuid(), os.Getgid())
	}
	if sid, err := unix.Getsid(0); err != nil || !jailed && sid != os.Getpid() {
		die("session %d, %v", sid, err)
	}
	if jailed {
		lookAround()
	}
	switch s.Start {
	case "exit":
		die("cannot start at all")
	case "no socket":
		time.Sleep(time.Minute)
	case "deaf":
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		must(err)
		must(unix.Bind(fd, &unix.SockaddrUnix{Name: *socket}))
		time.Sleep(time.Minute)
	}
	listener, err := net.Listen("unix", *socket)
	must(err)
	if s.Start == "mute" {
		time.Sleep(time.Minute)
	}
	f := &fake{scenario: s, id: *id, state: "Not started", given: map[string]map[string]any{}}
	if f.spec, err = readSpec(filepath.Join(filepath.Dir(os.Args[0]), specName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		die("%v", err)
	}
	server := &http.Server{Handler: f, ErrorLog: log.New(io.Discard, "", 0)}
	die("%v", server.Serve(listener))
}

// lookAround sees whether a jail is one, and holds what it has to.
func lookAround() {
	interfaces, err := net.Interfaces()
	must(err)
	if len(interfaces) > 1 {
		die("there is a network: %v", interfaces)
	}
	for _, path := range []string{"/etc", "/proc", "/old_root", "/root", "/tmp"} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			die("%s is in the jail: %v", path, err)
		}
	}
	device, err := os.Open("/dev/urandom")
	must(err) // a mount without devices
	device.Close()
	for _, name := range []string{"kernel", "initramfs", "rootfs"} {
		if f, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil {
			f.Close()
			die("%s can be written to", name)
		}
	}
}

type fake struct {
	scenario
	spec *spec // nil: none to hold requests against
	id   string

	mu    sync.Mutex
	state string
	given map[string]map[string]any // bodies by path
	log   *os.File
}

// ServeHTTP answers as Firecracker would, except where the scenario says
// otherwise. It prints each request, for tests to look at.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	must(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	what := r.Method + " " + r.URL.Path
	fmt.Printf("api: %s %s\n", what, body)
	if r.TransferEncoding != nil || r.Header.Get("Accept-Encoding") != "" {
		f.answer(w, r, http.StatusBadRequest, fault{"the server knows no " + what})
		return
	}
	if what == f.At {
		f.misbehave(w, r)
		return
	}
	var answer any
	if f.spec != nil {
		err = f.spec.request(r.Method, r.URL.Path, body)
	}
	if err == nil {
		answer, err = f.handle(r.Method, r.URL.Path, body)
	}
	if err != nil {
		f.answer(w, r, http.StatusBadRequest, fault{err.Error()})
		return
	}
	status := http.StatusOK
	if answer == nil {
		status = http.StatusNoContent
	}
	f.answer(w, r, status, answer)
	if what == "PUT /actions" {
		w.(http.Flusher).Flush() // a guest may end at once
		go f.guest()
	}
}

// answer holds the fake to the description, too.
func (f *fake) answer(w http.ResponseWriter, r *http.Request, status int, answer any) {
	var text []byte
	if answer != nil {
		var err error
		text, err = json.Marshal(answer)
		must(err)
	}
	if f.spec != nil && status < 300 {
		if want, err := f.spec.success(r.Method, r.URL.Path); err != nil || want != status {
			die("%d as an answer to %s %s, and not %d, %v", status, r.Method, r.URL.Path, want, err)
		}
		must(f.spec.answer(r.Method, r.URL.Path, status, text))
	}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// handle keeps the order that Firecracker wants: all is configured before the
// start, nothing after.
func (f *fake) handle(method, path string, body []byte) (any, error) {
	if method == http.MethodGet {
		switch path {
		case "/":
			return instanceInfo{"Firecracker", f.id, f.state, f.Version}, nil
		case "/version":
			return versionInfo{f.Version}, nil
		}
		return nil, errors.New("Invalid request method and/or path")
	}
	if f.state != "Not started" {
		return nil, errors.New("The requested operation is not supported after starting the microVM.")
	}
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, err
	}
	if f.given[path] != nil {
		return nil, fmt.Errorf("%s once more", path)
	}
	f.given[path] = v
	var err error
	switch path {
	case "/logger":
		if len(f.given) > 1 {
			return nil, errors.New("the logger comes late")
		}
		var info os.FileInfo
		if info, err = os.Stat(v["log_path"].(string)); err == nil && info.Mode()&os.ModeNamedPipe == 0 {
			err = errors.New("the log is no pipe")
		}
		if err == nil {
			f.log, err = os.OpenFile(v["log_path"].(string), os.O_RDWR|unix.O_NONBLOCK, 0)
		}
	case "/boot-source":
		err = errors.Join(holds(v["kernel_image_path"], kernelText), holds(v["initrd_path"], initramfsText))
	case "/drives/rootfs":
		if v["drive_id"] != "rootfs" {
			err = errors.New("another id in the path")
		} else if v["is_read_only"] != true || v["is_root_device"] != false {
			err = errors.New("not what the guest expects")
		} else {
			err = holds(v["path_on_host"], rootFSText)
		}
	case "/vsock":
		_, err = net.Listen("unix", v["uds_path"].(string))
	case "/machine-config", "/entropy":
	case "/actions":
		if f.given["/boot-source"] == nil {
			return nil, errors.New("Cannot start microvm without kernel configuration.")
		}
		f.state = "Running"
		f.logf("The guest was started.")
	default:
		err = errors.New("Invalid request method and/or path")
	}
	return nil, err
}

func holds(path any, want string) error {
	text, err := os.ReadFile(path.(string))
	if err == nil && string(text) != want {
		err = fmt.Errorf("%s holds %q", path, text)
	}
	return err
}

func (f *fake) logf(format string, args ...any) {
	if f.log != nil {
		fmt.Fprintf(f.log, "2026-01-02T03:04:05.678 ["+f.id+":main:WARN] "+format+"\n", args...)
	}
}

// misbehave is for what no Firecracker should do, and for what it may.
func (f *fake) misbehave(w http.ResponseWriter, r *http.Request) {
	hijack := func() net.Conn {
		conn, _, err := w.(http.Hijacker).Hijack()
		must(err)
		return conn
	}
	f.logf("Something is wrong.")
	switch f.Do {
	case "400":
		f.answer(w, r, http.StatusBadRequest, fault{"it does not\nlike \x1b[31mit"})
	case "400 bare":
		w.WriteHeader(http.StatusBadRequest)
	case "500":
		http.Error(w, "oh dear", http.StatusInternalServerError)
	case "another success":
		w.WriteHeader(http.StatusAccepted)
	case "elsewhere":
		http.Redirect(w, r, "/", http.StatusFound)
	case "hang":
		time.Sleep(time.Minute)
	case "half":
		conn := hijack()
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
		time.Sleep(time.Minute)
	case "drip":
		for conn := hijack(); ; time.Sleep(10 * time.Millisecond) {
			fmt.Fprint(conn, "H")
		}
	case "garbage":
		fmt.Fprint(hijack(), "\x1b[2Jthis is no HTTP\r\n\r\n")
	case "close":
		hijack().Close()
	case "huge":
		_, _ = io.CopyN(w, endless{}, 100<<20)
	case "huge header":
		conn := hijack()
		fmt.Fprint(conn, "HTTP/1.1 204 No Content\r\nX: ")
		_, _ = io.Copy(conn, endless{})
	case "interim":
		for conn := hijack(); ; {
			if _, err := fmt.Fprint(conn, "HTTP/1.1 103 Early Hints\r\n\r\n"); err != nil {
				return
			}
		}
	case "not JSON":
		fmt.Fprint(w, "well")
	case "another id":
		f.answer(w, r, http.StatusOK, instanceInfo{"Firecracker", "other", f.state, f.Version})
	case "old":
		f.answer(w, r, http.StatusOK, versionInfo{"1.7.9"})
	case "no version":
		f.answer(w, r, http.StatusOK, versionInfo{"new"})
	case "exit":
		f.logf("Firecracker exiting with error. exit_code=148")
		os.Exit(148)
	case "die":
		must(unix.Kill(os.Getpid(), unix.SIGKILL))
	default:
		die("what is %q?", f.Do)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// guest is the guest's life: its kernel prints, it calls the host, and says
// back what it hears until the host has hung up.
func (f *fake) guest() {
	fmt.Print("[    0.000000] Linux version 6.1.0\r\r\n\x1b[31mred\x1b[0m \xff\r\n")
	if f.Flood {
		_, _ = io.CopyN(os.Stdout, endless{}, 1<<20)
		fmt.Print("\r\nthe end\r\n")
		for range 1 << 16 {
			f.logf("The guest does something that is logged.")
		}
	}
	switch f.Guest {
	case "silent":
		time.Sleep(time.Minute)
	case "exit":
		f.logf("Shutting down VM after intercepting signal 7, code 2.")
		os.Exit(149)
	case "heir": // somebody keeps the output open
		heir := &exec.Cmd{Path: os.Args[0], Args: []string{heirName}, Stdout: os.Stdout}
		must(heir.Start())
		os.Exit(0)
	case "panic":
		fmt.Print("[    0.100000] Kernel panic - not syncing\r\n")
		os.Exit(0)
	}
	path := f.given["/vsock"]["uds_path"].(string) + "_1024"
	conn, err := net.Dial("unix", path)
	must(err)
	fmt.Fprintln(conn, "hello")
	_, _ = io.Copy(conn, conn)
	os.Exit(f.Exit)
}

// fakeJailer does what Firecracker's documentation of the jailer says.
func fakeJailer() {
	s := readScenario()
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Printf("Jailer v%s\n\n", s.Jailer)
		return
	}
	set := flag.NewFlagSet(fakeJailerName, flag.ContinueOnError)
	id := set.String("id", "", "")
	program := set.String("exec-file", "", "")
	uid := set.Int("uid", 0, "")
	gid := set.Int("gid", 0, "")
	base := set.String("chroot-base-dir", "/srv/jailer", "")
	must(set.Parse(os.Args[1:]))
	if s.Start == "jailer exit" {
		die("no jail for you")
	}
	os.Clearenv()
	runtime.LockOSThread()

	name := filepath.Base(*program)
	if !strings.Contains(name, "firecracker") {
		die("Invalid file name")
	}
	root := filepath.Join(*base, name, *id, "root")
	must(os.MkdirAll(root, 0o700))
	copyFile(*program, filepath.Join(root, name))
	for _, beside := range []string{scenarioName, specName} {
		if from := filepath.Join(filepath.Dir(*program), beside); exists(from) {
			copyFile(from, filepath.Join(root, beside))
		}
	}
	for _, library := range libraries() {
		copyFile(library, filepath.Join(root, library))
	}

	must(unix.Unshare(unix.CLONE_NEWNS))
	must(unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""))
	must(unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""))
	must(os.Chdir(root))
	must(os.Mkdir("old_root", 0o600))
	must(unix.PivotRoot(".", "old_root"))
	must(os.Chdir("/"))
	must(unix.Unmount("old_root", unix.MNT_DETACH))
	must(os.Remove("old_root"))
	must(unix.Chroot("."))
	for _, folder := range []string{"/", "/dev", "/dev/net", "/run"} {
		must(os.MkdirAll(folder, 0o700))
		must(os.Chmod(folder, 0o700))
		must(os.Chown(folder, *uid, *gid))
	}
	for path, device := range map[string]uint64{"/dev/kvm": unix.Mkdev(10, 232), "/dev/net/tun": unix.Mkdev(10, 200), "/dev/urandom": unix.Mkdev(1, 9)} {
		must(unix.Mknod(path, unix.S_IFCHR|0o600, int(device)))
		must(os.Chown(path, *uid, *gid))
	}
	must(syscall.Setgroups(nil))
	must(syscall.Setgid(*gid))
	must(syscall.Setuid(*uid))
	argv := append([]string{"/" + name, "--id", *id, "--start-time-us", "1", "--start-time-cpu-us", "2", "--parent-cpu-time-us", "3"}, set.Args()...)
	must(syscall.Exec("/"+name, argv, nil))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func copyFile(from, to string) {
	must(os.MkdirAll(filepath.Dir(to), 0o755))
	src, err := os.Open(from)
	must(err)
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o755)
	must(err)
	_, err = io.Copy(dst, src)
	must(errors.Join(err, dst.Close()))
}

// libraries are what this binary needs to be executed again. Firecracker is
// linked statically; a test binary may not be.
func libraries() []string {
	file, err := elf.Open("/proc/self/exe")
	must(err)
	defer file.Close()
	var found []string
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			name, err := io.ReadAll(p.Open())
			must(err)
			found = append(found, strings.TrimRight(string(name), "\x00"))
		}
	}
	maps, err := os.ReadFile("/proc/self/maps")
	must(err)
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		if path := fields[len(fields)-1]; len(fields) == 6 && strings.Contains(path, ".so") {
			found = append(found, path)
		}
	}
	return found
}

// fakeHolder boots, says so, and waits to be killed: its arguments are an
// Engine and a Machine.
func fakeHolder() {
	var order holderOrder
	must(json.Unmarshal([]byte(os.Args[1]), &order))
	order.Engine.kvm, order.Engine.patience = order.KVM, patient
	vm, err := order.Engine.Boot(context.Background(), order.Machine)
	must(err)
	fmt.Println("booted " + strconv.FormatBool(reflect.TypeOf(vm) != nil))
	time.Sleep(time.Minute)
}

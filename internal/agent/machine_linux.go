package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/backend/microvm/engine"
	"glasshouse/guest"
)

// Where things lie in the initramfs. See package image, which puts them there.
const (
	modulesDir = "/modules"
	newRoot    = "/newroot"
	scratch    = "/run/overlay"
	lower      = "/run/root"
)

// assemble makes a machine of what the kernel booted: devices, modules, the root
// file system with a layer over it that takes what is written, and what programs
// expect beside it. The file is the layer's folder; nil if there is no such root
// file system.
func assemble() (_ guest.Report, layer *os.File, _ error) {
	var none guest.Report
	if err := errors.Join(guest.Devices(), guest.Console()); err != nil {
		return none, nil, fmt.Errorf("devices: %w", err)
	}
	if err := loadModules(); err != nil {
		return none, nil, err
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return none, nil, err
	}
	place := ""
	if kind := parameter(string(cmdline), "glasshouse.root"); kind != "" {
		if layer, err = mountRoot(kind); err != nil {
			return none, nil, fmt.Errorf("root file system: %w", err)
		}
		// It has no other name any more.
		place = fmt.Sprintf("/proc/self/fd/%d", layer.Fd())
	} else if err := guest.OrdinaryRoot(); err != nil {
		return none, nil, fmt.Errorf("root file system: %w", err)
	}
	report, err := guest.Setup()
	if err != nil {
		return none, nil, err
	}
	return report, layer, guest.Furnish(place)
}

// loadModules loads those of the initramfs, in the order that it lists.
func loadModules() error {
	order, err := os.ReadFile(filepath.Join(modulesDir, "order"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // the kernel has everything
	}
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(order)) {
		if err := loadModule(filepath.Join(modulesDir, name)); err != nil {
			return fmt.Errorf("load module %s: %w", name, err)
		}
	}
	return nil
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENODEV) { // it is there, or its device is not
		return nil
	}
	return err
}

// mountRoot mounts the root file system under a layer in memory, and enters it.
func mountRoot(kind string) (layer *os.File, err error) {
	for _, dir := range []string{lower, scratch, newRoot} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	const disk = "/dev/vda"
	if err := awaitFile(disk); err != nil {
		return nil, err
	}
	if err := unix.Mount(disk, lower, kind, unix.MS_RDONLY, ""); err != nil {
		return nil, fmt.Errorf("mount %s (%s): %w", disk, kind, err)
	}
	if layer, err = makeLayer(); err != nil {
		return nil, err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, scratch, scratch)
	if err := unix.Mount("overlay", newRoot, "overlay", 0, options); err != nil {
		return nil, fmt.Errorf("mount the layer over it: %w", err)
	}
	if err := unix.Chdir(newRoot); err != nil {
		return nil, err
	}
	if err := guest.EnterRoot(); err != nil {
		return nil, err
	}
	return layer, guest.Devices()
}

// makeLayer mounts what takes all that is written in this machine, and has one
// limit for that: without one, files could take the memory that the recorder and
// the command need.
func makeLayer() (*os.File, error) {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", scratch, "tmpfs", 0, fmt.Sprintf("mode=0755,size=%d", layerSize(available(info)))); err != nil {
		return nil, err
	}
	for _, dir := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(scratch, dir), 0o755); err != nil {
			return nil, err
		}
	}
	return os.Open(scratch)
}

// awaitFile waits for a device, which its driver may find later than it is
// loaded.
func awaitFile(path string) error {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		_, err := os.Stat(path)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// dial opens the channel to the host.
func dial() (io.ReadWriteCloser, error) {
	const ports = "/sys/class/virtio-ports"
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		names, err := filepath.Glob(ports + "/*/name")
		if err != nil {
			return nil, err
		}
		for _, file := range names {
			if b, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(b)) == engine.SerialPort {
				return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(file)), os.O_RDWR, 0)
			}
		}
		if conn, err := dialVsock(); err == nil {
			return conn, nil
		} else if time.Now().After(end) {
			return nil, fmt.Errorf("there is neither a port %s nor a host that answers by vsock: %w", engine.SerialPort, err)
		}
	}
}

func dialVsock() (io.ReadWriteCloser, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_HOST, Port: engine.VsockPort}); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "vsock"), nil
}

// parameter is the value of a kernel parameter; "" if it is not given.
func parameter(cmdline, name string) string {
	for _, word := range strings.Fields(cmdline) {
		if v, ok := strings.CutPrefix(word, name+"="); ok {
			return v
		}
	}
	return ""
}

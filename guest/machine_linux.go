package guest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OrdinaryRoot makes the root a mount like any other: programs ask for
// pivot_root, which the kernel's first file system refuses. It is for PID 1 of a
// machine that stays on that file system.
func OrdinaryRoot() error {
	const at = "/root"
	if err := unix.Mount("/", at, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := unix.Chdir(at); err != nil {
		return err
	}
	return EnterRoot()
}

// EnterRoot makes the mount that is the working directory the root of this
// process, in the old one's place.
func EnterRoot() error {
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	return errors.Join(unix.Chroot("."), unix.Chdir("/"))
}

// Devices mounts /dev.
func Devices() error { return mount("devtmpfs", "/dev", "mode=0755") }

// Console opens /dev/console as the standard streams: the kernel finds none in
// an initramfs. It needs Devices.
func Console() error {
	fd, err := unix.Open("/dev/console", unix.O_RDWR, 0)
	if err != nil {
		return err
	}
	for std := range 3 {
		if fd == std {
			continue
		}
		if err := unix.Dup3(fd, std, 0); err != nil {
			return err
		}
	}
	return nil
}

// Furnish gives a machine what programs expect to find beside what Setup mounts:
// temporary folders, terminals, the names of the standard streams, a loopback.
// The temporary folders lie in layer, a folder whose limit is theirs in common;
// where it is "" each is a file system in memory of its own. It needs Devices.
func Furnish(layer string) error {
	for _, f := range []struct {
		target string
		mode   os.FileMode
	}{
		{"/tmp", 0o777 | os.ModeSticky}, {"/run", 0o755}, {"/dev/shm", 0o777 | os.ModeSticky},
	} {
		if err := temporary(f.target, f.mode, layer); err != nil {
			return err
		}
	}
	if err := mount("devpts", "/dev/pts", "mode=0620,ptmxmode=0666"); err != nil {
		return err
	}
	for name, target := range map[string]string{"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"} {
		if err := os.Symlink("/proc/self/fd"+target, "/dev/"+name); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return loopbackUp()
}

// temporary makes a folder that is empty in every new machine.
func temporary(target string, mode os.FileMode, layer string) error {
	if layer == "" {
		if err := mount("tmpfs", target, ""); err != nil {
			return err
		}
		return os.Chmod(target, mode)
	}
	from := filepath.Join(layer, filepath.Base(target))
	if err := errors.Join(os.MkdirAll(target, 0o755), os.Mkdir(from, mode)); err != nil {
		return err
	}
	if err := os.Chmod(from, mode); err != nil { // whatever the umask is
		return err
	}
	if err := unix.Mount(from, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID, "")
}

func mount(kind, target, options string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(kind, target, kind, unix.MS_NOSUID, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, target, err)
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("loopback up: %w", err)
	}
	_, err = net.InterfaceByName("lo")
	return err
}

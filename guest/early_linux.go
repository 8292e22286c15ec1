package guest

import (
	"fmt"
	"os"
	"slices"
	"syscall"
)

// marker is in the environment of a recorder that EarlyInit has started again.
const marker = "GLASSHOUSE_GUEST_REEXEC"

// mountedEarly says that EarlyInit mounted /proc, in the image before this.
var mountedEarly bool

// EarlyInit is for PID 1 alone, in guest mode, and is to be called before
// anything else in main. Where /proc is not mounted it mounts it and executes
// the recorder anew, for packages look at /proc while they are initialised,
// which is before main, and do not look again. It returns, in the new image
// or the only one, with no trace left in the environment.
//
// In any other process it does nothing.
func EarlyInit() error {
	_, again := os.LookupEnv(marker)
	if err := os.Unsetenv(marker); err != nil {
		return err
	}
	if os.Getpid() != 1 || !guestAsked(os.Args) {
		return nil
	}
	if procFS.there() {
		mountedEarly = again
		return nil
	}
	if again {
		return fmt.Errorf("%s: it is not there after all", procFS)
	}
	if _, err := procFS.ensure(); err != nil {
		return fmt.Errorf("%s: %w", procFS, err)
	}
	if err := syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), marker+"=1")); err != nil {
		return fmt.Errorf("execute the recorder again: %w", err)
	}
	return nil
}

// guestAsked looks for the guest's own command, or for --guest among the recorder's own arguments. It is no
// parser: what the flags mean is settled later, and a /proc mounted in vain by
// a PID 1 does no harm.
func guestAsked(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	if len(args) > 1 && args[1] == Command {
		return true
	}
	return slices.ContainsFunc(args[min(1, len(args)):], func(arg string) bool {
		return arg == "--guest" || arg == "--guest=true" || arg == "--guest=1"
	})
}

//go:build linux

package recorded

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary runs itself as the workload: argv[1] is workloadFlag,
// argv[2] the name, the rest its arguments.
const workloadFlag = "recorded-workload"

// Workloads are what a test binary does when it is run as a workload, by name.
type Workloads map[string]func(args []string)

// Main is what TestMain calls: it runs the workload that was asked for, or
// the tests.
func (w Workloads) Main(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == workloadFlag {
		// A system call of the workload must not come from a thread that
		// nobody asked for.
		runtime.LockOSThread()
		w[os.Args[2]](os.Args[3:])
		os.Exit(0)
	}
	// Nor must one be cut short by the signals of Go's scheduler, which are
	// sent by calls that are counted, too.
	// And the C library looks up how many CPUs there are, in a file, once two
	// threads happen to allocate at the same time.
	for name, value := range map[string]string{"GODEBUG": "asyncpreemptoff=1", "MALLOC_ARENA_MAX": "1"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// Workload is the argv that runs a workload.
func Workload(name string, args ...string) []string {
	return append([]string{Self, workloadFlag, name}, args...)
}

// Self is the path of the test binary.
var Self = func() string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return exe
}()

// failureCode is the exit code of a workload that could not do what the test
// thinks it did.
const failureCode = 99

// Check ends a workload that could not do what the test thinks it did.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
		os.Exit(failureCode)
	}
}

// Expect ends a workload whose call ended otherwise than the test says.
func Expect(got, want error) {
	if !errors.Is(got, want) {
		Check(fmt.Errorf("got %v, want %v", got, want))
	}
}

// Result is a raw call's errno as an error; nil for success.
func Result(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

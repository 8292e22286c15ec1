// Program vm runs the tests of the probes on the kernels of several Debian
// releases, each in a virtual machine of its own, and on this machine's.
// It needs no right but, for the host's kernel, those of the tests.
//
//	go run ./test/vm [-kernels 5.10,6.1] [-suites truth] [-run TestLoad]
//
// It is run from the top of the module. What it downloads and makes is kept
// in .cache/vm; a kernel is downloaded when it is not there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type matrix struct {
	kernels  []kernel
	suites   []suite
	tests    choice
	parallel int
	timeout  time.Duration
	verbose  bool
	cache    string
}

func main() {
	m := matrix{cache: filepath.Join(".cache", "vm")}
	names := flag.String("kernels", "", "kernels to run on, separated by commas or spaces; all if empty")
	suiteNames := flag.String("suites", "", "suites to run, separated by commas or spaces; all if empty")
	flag.StringVar(&m.tests.run, "run", "", "run only tests that match, as for go test")
	flag.StringVar(&m.tests.skip, "skip", "", "leave out tests that match, as for go test")
	flag.IntVar(&m.parallel, "parallel", 2, "guests at a time")
	flag.DurationVar(&m.timeout, "timeout", 30*time.Minute, "the longest that a guest may run")
	flag.BoolVar(&m.verbose, "v", false, "print all that a test binary prints")
	flag.Parse()
	if err := m.main(list(*names), list(*suiteNames)); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

func (m *matrix) main(kernelNames, suiteNames []string) (err error) {
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	if m.parallel < 1 {
		return errors.New("-parallel has to be 1 or more")
	}
	if _, err := os.Stat("go.mod"); err != nil {
		return fmt.Errorf("%w (run this from the top of the module)", err)
	}
	if m.kernels, err = selected(kernelNames); err != nil {
		return err
	}
	if m.suites, err = selectedSuites(suiteNames); err != nil {
		return err
	}
	if m.cache, err = filepath.Abs(m.cache); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return m.run(ctx)
}

package main

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"glasshouse/internal/command"
	"glasshouse/test/vm/plan"
)

// suite is a row of the matrix: the tests of a package.
type suite struct {
	name string
	pkg  string // its folder, from the top of the module
	// files that the tests read, as patterns from the top of the module.
	files []string
	// programs that the tests run.
	programs []string
	// helpers are programs that the tests run, made beforehand.
	helpers []helper
	// traced: ptrace can watch the tests' programs as well.
	traced bool
	// env are variables of the tests, skip those that are not for them.
	env  []string
	skip string
	// maySkip says why a test cannot run on a kernel, by "kernel/test". Any
	// other test that is skipped fails the matrix.
	maySkip map[string]string
}

// helper is a program of one folder, in Go or C.
type helper struct {
	name   string
	dir    string // from the top of the module
	c      bool
	goarch string // of a Go program that is not built for the guest's
	guests string // only for guests of this architecture; all if empty
}

var objects = []string{"ebpf/*.o"}

const (
	youngRing = "it is of an io_uring younger than this kernel"
	amd64Only = "its instructions are those of amd64"
	noFUSE    = "Debian builds FUSE as a module, and a guest has none"
)

var suites = []suite{
	{name: "ebpf", pkg: "ebpf", files: objects},
	{
		name: "truth", pkg: "test/truth", files: objects,
		traced:   true,
		programs: []string{"cat", "getent", "head", "mount", "sh", "sleep", "tr", "true", "unshare"},
		helpers:  []helper{{name: "i386", dir: "test/truth/testdata/i386", goarch: "386", guests: "amd64"}},
		maySkip: map[string]string{
			"5.10/TestMPTCP":          "Debian builds this kernel without MPTCP",
			"5.10/TestRing/deferred":  youngRing,
			"5.10/TestRingMultishot":  youngRing,
			"5.10/TestRingReplaced":   youngRing,
			"5.10/TestRingUnreported": youngRing,
			"5.10/TestServed":         noFUSE,
			"6.1/TestServed":          noFUSE,
			"6.12/TestServed":         noFUSE,
			"6.12-arm64/TestServed":   noFUSE,
		},
	},
	{
		name: "adversary", pkg: "test/adversary",
		traced:  true,
		files:   []string{"docs/COVERAGE.md", "test/adversary/*_test.go", "test/truth/*_test.go"},
		helpers: []helper{{name: "adversary", dir: "test/adversary/testdata/c", c: true}},
		maySkip: map[string]string{
			"6.12-arm64/TestSideDoors/cold-socketcall": amd64Only,
			"6.12-arm64/TestSideDoors/dirty-number":    amd64Only,
			"6.12-arm64/TestSideDoors/int80":           amd64Only,
			"6.12-arm64/TestSideDoors/ptrace-changed":  amd64Only,
			"6.12-arm64/TestSideDoors/ptrace-emulated": amd64Only,
			"6.12-arm64/TestSideDoors/ptrace-inside":   amd64Only,
			"6.12-arm64/TestSideDoors/ptrace-outside":  amd64Only,
			"6.12-arm64/TestSideDoors/race-socketcall": amd64Only,
		},
	},
}

// ebpfAlone are the tests that are about the ring, io_uring, or tracers inside. The
// Makefile reads the same file.
//
//go:embed ebpf-alone
var ebpfAlone string

// withPtrace is a suite whose programs are watched by ptrace.
func withPtrace(s suite) suite {
	s.name += "-ptrace"
	s.env, s.skip = []string{"GLASSHOUSE_TEST_OBSERVE=ptrace"}, strings.TrimSpace(ebpfAlone)
	return s
}

// all are the suites, and those once more whose programs ptrace can watch.
func all() []suite {
	var out []suite
	for _, s := range suites {
		out = append(out, s)
		if s.traced {
			out = append(out, withPtrace(s))
		}
	}
	return out
}

// selectedSuites picks suites by name; none named means all.
func selectedSuites(names []string) ([]suite, error) {
	suites := all()
	if len(names) == 0 {
		return suites, nil
	}
	var out []suite
	for _, name := range names {
		i := slices.IndexFunc(suites, func(s suite) bool { return s.name == name })
		if i < 0 {
			var known []string
			for _, s := range suites {
				known = append(known, s.name)
			}
			return nil, fmt.Errorf("no suite %q: there are %s", name, strings.Join(known, ", "))
		}
		out = append(out, suites[i])
	}
	return out, nil
}

// helpersVar tells tests where their helpers are, which they make themselves
// where it is not set.
const helpersVar = "GLASSHOUSE_TEST_HELPERS"

// build makes the test binary and the helpers of a suite in dir.
func (s suite) build(dir, arch string) error {
	if err := goBuild(arch, "test", "-c", "-o", filepath.Join(dir, s.name+".test"), "./"+s.pkg); err != nil {
		return err
	}
	for _, h := range s.helpersFor(arch) {
		if err := h.build(filepath.Join(dir, helpersDir, h.name), arch); err != nil {
			return err
		}
	}
	return nil
}

// helpersDir is where helpers lie beside the test binaries.
const helpersDir = "helpers"

func (h helper) build(to, arch string) error {
	if !h.c {
		return goBuild(cmp.Or(h.goarch, arch), "build", "-o", to, "./"+h.dir)
	}
	sources, err := filepath.Glob(filepath.Join(h.dir, "*.c"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	m := machines[arch]
	_, err = command.Output(exec.Command(m.cc, append([]string{"-static", "-O1", "-pthread", "-o", to}, sources...)...))
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w (Debian's packages %s have it)", err, m.ccPkgs)
	}
	return err
}

func (s suite) helpersFor(arch string) []helper {
	return slices.DeleteFunc(slices.Clone(s.helpers), func(h helper) bool { return h.guests != "" && h.guests != arch })
}

// goBuild makes a static binary without the debugging data, which a guest
// would keep in its memory.
func goBuild(arch, verb string, args ...string) error {
	cmd := exec.Command("go", append([]string{verb, "-ldflags=-s -w"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	_, err := command.Output(cmd)
	return err
}

// planned is what is to be run of a suite. Binaries are in dir, the module
// lies in top.
func (s suite) planned(dir, top string, tests choice) plan.Suite {
	p := plan.Suite{
		Name: s.name, Dir: path.Join(top, s.pkg),
		Argv: []string{path.Join(dir, s.name+".test"), "-test.v=test2json", "-test.short", "-test.timeout=20m"},
		Env:  []string{helpersVar + "=" + path.Join(dir, helpersDir)},
	}
	if tests.skip == "" || s.skip == "" {
		tests.skip += s.skip
	} else {
		tests.skip += "|" + s.skip
	}
	p.Argv = append(p.Argv, tests.flags()...)
	p.Env = append(p.Env, s.env...)
	return p
}

// choice says which tests of the suites are run: patterns as for go test,
// empty for all and for none.
type choice struct{ run, skip string }

func (c choice) flags() (flags []string) {
	if c.run != "" {
		flags = append(flags, "-test.run="+c.run)
	}
	if c.skip != "" {
		flags = append(flags, "-test.skip="+c.skip)
	}
	return flags
}

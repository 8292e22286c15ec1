// Program bench measures what it costs to be recorded: whole commands, bare,
// under glasshouse and under strace -f, in turn, several rounds in one run. What
// counts are the medians and their ratios: machines differ, and are noisy.
//
//	go run ./test/bench [-rounds 5] [-only forks,opens] [-json FILE]
//	go run ./test/bench -growth
//
// It is run from the top of the module, as root, and needs gcc, tar and, for the
// third column, strace. What it makes lies in a temporary folder in memory.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// bench is a run of the benchmark.
type bench struct {
	dir        string // in memory: programs, files, receipts
	glasshouse string
	work       string // testdata/work.c
	strace     string // "" if there is none
	rounds     int
	observe    string
}

func main() {
	var b bench
	flag.IntVar(&b.rounds, "rounds", 5, "how often each command is run")
	flag.StringVar(&b.observe, "observe", "ebpf", "how glasshouse watches: ebpf or ptrace")
	only := flag.String("only", "", "workloads to run, separated by commas; all if empty")
	growth := flag.Bool("growth", false, "measure how time and memory grow with the number of events instead")
	straced := flag.Bool("strace", true, "run under strace -f as well, on a part of the work")
	to := flag.String("json", "", "write the results to this file, too")
	flag.Parse()
	if err := b.main(*only, *growth, *straced, *to); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) main(only string, growth, straced bool, to string) (err error) {
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	if b.rounds < 1 {
		return errors.New("-rounds has to be 1 or more")
	}
	if _, err := os.Stat("go.mod"); err != nil {
		return fmt.Errorf("%w (run this from the top of the module)", err)
	}
	if os.Geteuid() != 0 {
		return errors.New("recording takes root")
	}
	if b.dir, err = os.MkdirTemp("/dev/shm", "glasshouse-bench"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.build(); err != nil {
		return err
	}
	if straced {
		b.strace, _ = exec.LookPath("strace")
	}
	var results any
	if growth {
		results, err = b.growth()
	} else {
		results, err = b.compare(only)
	}
	if err != nil || to == "" {
		return err
	}
	content, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(to, append(content, '\n'), 0o644)
}

// build makes the recorder and the program that works.
func (b *bench) build() error {
	b.glasshouse = filepath.Join(b.dir, "glasshouse")
	b.work = filepath.Join(b.dir, "work")
	for _, argv := range [][]string{
		{"go", "build", "-o", b.glasshouse, "./cmd/glasshouse"},
		{"gcc", "-O2", "-Wall", "-static", "-o", b.work, "test/bench/testdata/work.c"},
	} {
		if err := quiet(exec.Command(argv[0], argv[1:]...)); err != nil {
			return err
		}
	}
	return nil
}

// quiet runs a command; the error has what it said.
func quiet(cmd *exec.Cmd) error {
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = io.Discard, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(out.String()))
	}
	return nil
}

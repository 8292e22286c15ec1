package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// workload is a command that is measured.
type workload struct {
	name, what string
	limit      float64 // the highest ratio that is wanted; 0: there is none
	// prepare is called before each run, and not measured.
	prepare func(b *bench) error
	// argv is the command for a part of the work, from 0 to 1.
	argv func(b *bench, part float64) []string
	// part is how much of the work is done under strace, which takes too long
	// for the whole of some.
	part float64
	// rounds there are at most.
	rounds int
}

func count(n int, part float64) string { return strconv.Itoa(int(float64(n) * part)) }

const differentFiles = 100_000

var workloads = []workload{
	{
		name: "forks", what: "2,000 x /bin/true", limit: 1.12, part: 0.2,
		argv: func(_ *bench, part float64) []string {
			return []string{"sh", "-c", "i=0; while [ $i -lt " + count(2000, part) + " ]; do /bin/true; i=$((i+1)); done"}
		},
	},
	{
		name: "opens", what: "500,000 x open and close of one file", limit: 1.6, part: 0.1,
		argv: func(b *bench, part float64) []string {
			return []string{b.work, "opens", count(500_000, part), b.work}
		},
	},
	{
		name: "files", what: "100,000 different files", limit: 2.0, part: 0.2,
		prepare: func(b *bench) error {
			dir := filepath.Join(b.dir, "files")
			if os.Mkdir(dir, 0o755) != nil {
				return nil // from the round before
			}
			return quiet(exec.Command(b.work, "make", count(differentFiles, 1), dir))
		},
		argv: func(b *bench, part float64) []string {
			return []string{b.work, "files", count(differentFiles, part), filepath.Join(b.dir, "files")}
		},
	},
	{
		name: "untar", what: "untar the sources of Go into memory", limit: 1.25, part: 1, rounds: 5,
		prepare: func(b *bench) error {
			tar, out := filepath.Join(b.dir, "src.tar"), filepath.Join(b.dir, "untarred")
			if _, err := os.Stat(tar); err != nil {
				root, err := goroot()
				if err != nil {
					return err
				}
				if err := quiet(exec.Command("tar", "-cf", tar, "-C", root, "src")); err != nil {
					return err
				}
			}
			if err := os.RemoveAll(out); err != nil {
				return err
			}
			return os.Mkdir(out, 0o755)
		},
		argv: func(b *bench, _ float64) []string {
			return []string{"tar", "-xf", filepath.Join(b.dir, "src.tar"), "-C", filepath.Join(b.dir, "untarred")}
		},
	},
	{
		name: "build", what: "go build of gofmt, with an empty cache", limit: 1.04, part: 1, rounds: 3,
		prepare: func(b *bench) error { return os.RemoveAll(filepath.Join(b.dir, "cache")) },
		argv: func(b *bench, _ float64) []string {
			return []string{"env", "GOCACHE=" + filepath.Join(b.dir, "cache"), "GOFLAGS=", "go", "build", "-o", "/dev/null", "cmd/gofmt"}
		},
	},
	{
		name: "calls", what: "3,000,000 x getppid", limit: 2.0, part: 0.02,
		argv: func(b *bench, part float64) []string {
			return []string{b.work, "calls", count(3_000_000, part)}
		},
	},
	{
		name: "output", what: "1 GiB to stdout, through a pipe", limit: 1.5, part: 0.2,
		argv: func(_ *bench, part float64) []string {
			return []string{"head", "-c", count(1<<30, part), "/dev/zero"}
		},
	},
	{
		name: "tcp", what: "200 MB over TCP on loopback", part: 1,
		argv: func(b *bench, part float64) []string {
			return []string{b.work, "tcp", count(200_000_000, part)}
		},
	},
	{
		name: "start", what: "/bin/true, once", part: 1, rounds: 20,
		argv: func(*bench, float64) []string { return []string{"/bin/true"} },
	},
}

// selected picks workloads by name; none named means all.
func selected(only string) ([]workload, error) {
	if only == "" {
		return workloads, nil
	}
	var out []workload
	for name := range strings.SplitSeq(only, ",") {
		found := false
		for _, w := range workloads {
			if w.name == name {
				out, found = append(out, w), true
			}
		}
		if !found && name != bystander {
			return nil, fmt.Errorf("no workload %q", name)
		}
	}
	return out, nil
}

func goroot() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	return strings.TrimSpace(string(out)), err
}

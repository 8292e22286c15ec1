// Package demo tests the demo: that it does what it confesses and leaves no
// trace, and that a receipt of it says the same as its confession.
package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glasshouse/test/recorded"
)

// confession is what sneaky.py --confess writes.
type confession struct {
	Claimed []string `json:"claimed"`
	PID     int32    `json:"pid"`
	Root    string   `json:"root"`
	Read    []string `json:"read"`
	Written []string `json:"written"`
	Deleted []string `json:"deleted"`
	Created []struct {
		Path   string  `json:"path"`
		Kind   string  `json:"kind"`
		Target *string `json:"target"`
	} `json:"created"`
	Renamed []struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"renamed"`
	Failed []struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Errno string `json:"errno"`
	} `json:"failed"`
	Attempts []struct {
		Dst      string `json:"dst"`
		Protocol string `json:"protocol"`
		Result   string `json:"result"`
		Count    uint64 `json:"count"`
	} `json:"attempts"`
	Listens []struct {
		Addr     string `json:"addr"`
		Protocol string `json:"protocol"`
	} `json:"listens"`
	Accepts []struct {
		Src      string `json:"src"`
		Addr     string `json:"addr"`
		Protocol string `json:"protocol"`
	} `json:"accepts"`
	Children []struct {
		PID       int32    `json:"pid"`
		Requested string   `json:"requested"`
		Argv      []string `json:"argv"`
		ExitCode  *int     `json:"exit_code"`
		Signal    *string  `json:"signal"`
	} `json:"children"`
	Forks []struct {
		PID      int32 `json:"pid"`
		ExitCode int   `json:"exit_code"`
	} `json:"forks"`
	ExecFailures []struct {
		Path         string   `json:"path"`
		Argv         []string `json:"argv"`
		Errno        string   `json:"errno"`
		ForkExitCode int      `json:"fork_exit_code"`
	} `json:"exec_failures"`
}

func readConfession(t *testing.T, path string) confession {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	var c confession
	if err := dec.Decode(&c); err != nil {
		t.Fatalf("the confession is no JSON: %v", err)
	}
	return c
}

func TestSneaky(t *testing.T) {
	tmp, out := t.TempDir(), filepath.Join(t.TempDir(), "confession.json")
	cmd := exec.Command(recorded.Python(t), "sneaky.py", "--confess", out)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	if got, want := string(stdout), "formatted a report\nnothing to see here\n"; got != want {
		t.Errorf("it said %q, want %q", got, want)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("it left %v (%v)", left, err)
	}

	c := readConfession(t, out)
	if !slices.Contains(c.Written, out) {
		t.Errorf("it does not confess the confession, only %q", c.Written)
	}
	for _, path := range c.Written {
		if _, err := os.Lstat(path); path != out && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there (%v)", path, err)
		}
	}
	ends := map[string]int{}
	for _, child := range c.Children {
		switch {
		case child.Signal != nil:
			ends[*child.Signal]++
		case *child.ExitCode == 0:
			ends["success"]++
		default:
			ends["failure"]++
		}
	}
	if ends["SIGKILL"] != 1 || ends["failure"] != 1 || ends["success"] < 2 {
		t.Errorf("children ended %v", ends)
	}
}

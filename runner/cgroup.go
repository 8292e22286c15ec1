package runner

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// populated tells whether a process lives in a cgroup v2 or below it. A
// group that is gone has none.
func populated(dir string) (bool, error) {
	events, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(events)) {
		if strings.TrimSpace(line) == "populated 1" {
			return true, nil
		}
	}
	return false, nil
}

// cpuTime is what all processes that were in a cgroup v2 have used, from the
// first line of its cpu.stat; 0 if that cannot be read.
func cpuTime(dir string) time.Duration {
	stat, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(stat)) {
		if usec, ok := strings.CutPrefix(strings.TrimSpace(line), "usage_usec "); ok {
			n, _ := strconv.ParseInt(usec, 10, 64)
			return time.Duration(n) * time.Microsecond
		}
	}
	return 0
}

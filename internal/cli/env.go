package cli

import (
	"fmt"
	"os"
	"strings"
)

// settings are what the environment says. This is the one place that reads
// GLASSHOUSE_ variables.
type settings struct {
	captureArgv   bool
	objectDir     string // "" loads the embedded BPF objects
	debugEvents   bool
	debugTracking bool
	debugCounts   bool
}

// environmentHelp documents readSettings. Four spaces keep its lines apart in
// the manual page.
const environmentHelp = `Environment:

    GLASSHOUSE_CAPTURE_ARGV=0        do not record the arguments of programs; the
                                     command as it was given to run stays
    GLASSHOUSE_CAPTURE_ARGV=1        record them, but not under WSL: the default
    GLASSHOUSE_CAPTURE_ARGV=force    record them under WSL too
    GLASSHOUSE_CAPTURE_ARGV_FORCE=1  the older name of force; where both are
                                     set, the newer one wins
    GLASSHOUSE_BPF_DIR=DIR           load the BPF objects from DIR instead of
                                     the built-in ones
    GLASSHOUSE_DEBUG_EVENTS=1        print the first 10,000 events on stderr,
                                     with the secrets in their arguments
    GLASSHOUSE_DEBUG_TRACKING=1      print the tracked processes, at the end
    GLASSHOUSE_DEBUG_COUNTS=1        print what was counted, at the end`

// readSettings takes the variables from getenv. A value that is not
// documented is an error: a typing error must not pass for a setting.
func readSettings(getenv func(string) string, wsl func() bool) (settings, error) {
	var s settings
	force, err := boolean(getenv, "GLASSHOUSE_CAPTURE_ARGV_FORCE")
	if err != nil {
		return s, err
	}
	const captureArgv = "GLASSHOUSE_CAPTURE_ARGV"
	switch v := getenv(captureArgv); v {
	case "0":
		s.captureArgv = false
	case "force":
		s.captureArgv = true
	case "", "1":
		s.captureArgv = v == "" && force || !wsl()
	default:
		return s, fmt.Errorf("%s is %q: it must be 0, 1 or force", captureArgv, v)
	}
	for _, b := range []struct {
		name string
		to   *bool
	}{
		{"GLASSHOUSE_DEBUG_EVENTS", &s.debugEvents},
		{"GLASSHOUSE_DEBUG_TRACKING", &s.debugTracking},
		{"GLASSHOUSE_DEBUG_COUNTS", &s.debugCounts},
	} {
		if *b.to, err = boolean(getenv, b.name); err != nil {
			return s, err
		}
	}
	s.objectDir = getenv("GLASSHOUSE_BPF_DIR")
	return s, nil
}

func boolean(getenv func(string) string, name string) (bool, error) {
	switch v := getenv(name); v {
	case "", "0":
		return false, nil
	case "1":
		return true, nil
	default:
		return false, fmt.Errorf("%s is %q: it must be 0 or 1", name, v)
	}
}

// underWSL tells whether the kernel is the one of the Windows Subsystem for
// Linux.
func underWSL() bool {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	return err == nil && strings.Contains(strings.ToLower(string(release)), "microsoft")
}

package recorded

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// NeedProgram skips a test where a program is missing that CI installs.
func NeedProgram(t *testing.T, name string) {
	t.Helper()
	_, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// Python returns the interpreter itself. What is found in PATH may be a shell
// script that looks for it, with processes, files and sockets of its own.
func Python(t *testing.T) string {
	t.Helper()
	NeedProgram(t, "python3")
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

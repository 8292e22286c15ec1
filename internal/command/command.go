// Package command runs programs of which the output is wanted.
package command

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
)

// Output runs a command and returns what it printed; the error has the last
// line of what it complained about.
func Output(cmd *exec.Cmd) (string, error) { return OutputAs(strings.Join(cmd.Args, " "), cmd) }

// OutputAs is Output for a command that errors call by another name.
func OutputAs(name string, cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, lastLine(stderr.String()))
	}
	return stdout.String(), nil
}

func lastLine(s string) string {
	last := ""
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			last = line
		}
	}
	return last
}

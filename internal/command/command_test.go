package command

import (
	"errors"
	"os"
	"os/exec"
	"testing"
)

func TestMain(m *testing.M) {
	if said := os.Getenv("COMMAND_TEST_SAYS"); said != "" {
		os.Stdout.WriteString("out\n")
		os.Stderr.WriteString(said)
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func TestOutput(t *testing.T) {
	self := func(said string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), "COMMAND_TEST_SAYS="+said)
		return cmd
	}
	for said, want := range map[string]string{
		"first\nlast\n\n": "tool: exit status 3: last",
		"cut":             "tool: exit status 3: cut",
		" ":               "tool: exit status 3: ",
	} {
		_, err := OutputAs("tool", self(said))
		var exit *exec.ExitError
		if err == nil || err.Error() != want || !errors.As(err, &exit) {
			t.Errorf("%q: got %v, want %s", said, err, want)
		}
	}
	if _, err := Output(self("x")); err == nil || err.Error() != os.Args[0]+" -test.run=^$: exit status 3: x" {
		t.Error(err)
	}
	out, err := Output(exec.Command(os.Args[0], "-test.list=TestOutput"))
	if err != nil || out != "TestOutput\n" {
		t.Errorf("%q, %v", out, err)
	}
}

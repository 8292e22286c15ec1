//go:build linux

package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"glasshouse/receipt"
)

// One signal ends a recorder that reads for minutes what the run wrote. It may
// come when the command has only just ended. The receipt is there, and no bundle
// of an earlier one beside it.
func TestSignalWhileSigning(t *testing.T) {
	t.Parallel()
	if err := whyNotObserved(); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		delay  string // from the end of the command on, in seconds
	}{
		{"at once", syscall.SIGINT, "0"},
		{"in the drain", syscall.SIGTERM, "0.03"},
		{"a little later", syscall.SIGINT, "0.1"},
		{"while the files are read", syscall.SIGTERM, "1.5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			run := func(args ...string) (*exec.Cmd, *bytes.Buffer) {
				cmd := exec.Command(binary, args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "state"))
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
				errors := new(bytes.Buffer)
				cmd.Stderr = errors
				return cmd, errors
			}
			if cmd, errors := run("keygen", "-o", "k"); cmd.Run() != nil {
				t.Fatal(errors)
			}
			bundle := filepath.Join(dir, "receipt.json.sigstore.json")
			if err := os.WriteFile(bundle, []byte("of an earlier receipt"), 0o600); err != nil {
				t.Fatal(err)
			}
			// The recorder is the parent of the shell, which has ended by then.
			script := fmt.Sprintf(`truncate -s 200G big
				(exec >/dev/null 2>&1; while kill -0 $$; do :; done; sleep %s; kill -%d $PPID) &
				exit 7`, c.delay, c.signal)
			cmd, stderr := run("run", "--sign", "k.key", "--", "sh", "-c", script)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
			if got := exitCode(t, cmd.Wait()); got != 7 {
				t.Errorf("exit code %d", got)
			}
			for _, want := range []string{
				"glasshouse: the receipt is not signed: a signal came while the files that the run wrote were read\n",
				"hint: glasshouse sign receipt.json --key k.key signs it\n",
			} {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q is missing in\n%s", want, stderr)
				}
			}
			f, err := os.Open(filepath.Join(dir, "receipt.json"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if rec, err := receipt.Read(f); err != nil || rec.Outcome.ExitCode != 7 {
				t.Errorf("the receipt: %+v, %v", rec, err)
			}
			if _, err := os.Lstat(bundle); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the old bundle: %v", err)
			}
			kept, err := filepath.Glob(filepath.Join(dir, "state", "glasshouse", "receipts", "*.json"))
			if err != nil || len(kept) != 1 {
				t.Errorf("kept are %q, %v", kept, err)
			}
		})
	}
}

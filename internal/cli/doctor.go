package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"glasshouse/ebpf"
	"glasshouse/internal/doctor"
)

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Tell whether this machine can observe commands",
		Long: `Check what observing needs, one line each: what was found, what is needed, and
the remedy. The last two checks count: one loads and attaches the real programs,
the other traces a process. The exit code is 0 if commands can be observed here
in one of these ways, else 1.

With --json the checks are a list of {check, status, found, needed, remedy};
status is ok, warn (something is taken away) or fail (nothing is observed in
this way).`,
		Example: `  glasshouse doctor
  sudo glasshouse doctor
  glasshouse doctor --json | jq '.[] | select(.status != "ok")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			env, err := readSettings(os.Getenv, underWSL)
			if err != nil {
				return err
			}
			state, _ := stateDir() // without one nothing was found out before
			d := doctor.Diagnose(cmd.Context(), doctor.Here(ebpf.Options{
				CaptureArgv: env.captureArgv,
				ObjectDir:   env.objectDir,
			}, state))
			if d.Mode == observeNone {
				a.code = exitFailure
			}
			if asJSON {
				text, err := json.MarshalIndent(d.Checks, "", "  ")
				if err != nil {
					return err
				}
				return put(a.stdout, string(text)+"\n")
			}
			return put(a.stdout, diagnosis(d))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the checks as JSON")
	return cmd
}

func diagnosis(d doctor.Diagnosis) string {
	var b strings.Builder
	for _, c := range d.Checks {
		fmt.Fprintf(&b, "%-4s  %-19s  %s; needed: %s", c.Status, c.Name, printable(c.Found), c.Needed)
		if c.Remedy != "" {
			fmt.Fprintf(&b, "; remedy: %s", printable(c.Remedy))
		}
		b.WriteByte('\n')
	}
	switch d.Mode {
	case observeEBPF:
		b.WriteString("glasshouse can observe commands here.\n")
	case observePtrace:
		b.WriteString("glasshouse can observe commands here, with ptrace, which sees less than eBPF.\n")
	default:
		b.WriteString("glasshouse cannot observe commands here: they run, and their receipts say so.\n")
	}
	return b.String()
}

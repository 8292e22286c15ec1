// Package cli is the command line of glasshouse: one file a subcommand.
//
// The rules of its user interface:
//
//   - The command that is run owns stdin and stdout. What glasshouse itself
//     has to say goes to stderr, never to stdout, unless it was asked for it
//     there (version, doctor, schema, man, completion, run -o -).
//   - An error is one line, "glasshouse: " and what went wrong; where there is
//     a remedy, a line "hint: " follows.
//   - The exit code of run is the command's own, 128+n after signal n. All of
//     glasshouse's own failures exit with 1, but those of diff with 2.
//   - Text that comes from the command (paths, arguments, addresses) is made
//     printable before it reaches a terminal.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"glasshouse/audit"
	"glasshouse/backend/microvm/engine"
	"glasshouse/backend/microvm/firecracker"
	"glasshouse/backend/microvm/image"
	"glasshouse/receipt"
)

// exitFailure is the exit code of glasshouse's own failures.
const exitFailure = 1

// Main runs glasshouse with the arguments after the program's name and
// returns the exit code.
func Main(args []string, stdin, stdout, stderr *os.File) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	if err := root.ExecuteContext(context.Background()); err != nil {
		a.report(err)
		var c *coded
		if errors.As(err, &c) {
			return c.code
		}
		return exitFailure
	}
	return a.code
}

// app is one invocation.
type app struct {
	stdin, stdout, stderr *os.File
	code                  int  // to exit with, if no error says otherwise
	unjournaled           bool // it was said that the state folder takes no journal
}

func (a *app) root() *cobra.Command {
	var asksVersion bool // --version, which most programs have
	root := &cobra.Command{
		Use:   "glasshouse",
		Short: "a flight recorder for commands",
		Long: `glasshouse runs a command, watches it from underneath, in the kernel, and
leaves a receipt: what ran, what it read, wrote and deleted, whom it talked to,
how it ended, and what the recorder could not see.`,
		Example: `  sudo glasshouse run -- make test
  glasshouse run -- make test
  glasshouse show
  glasshouse doctor`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError(cmd, fmt.Errorf("unknown command %q", args[0]))
			}
			return nil
		},
		// Without it cobra takes an unknown command for a wish for help.
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asksVersion {
				return a.printVersion()
			}
			return cmd.Help()
		},
		SilenceErrors:     true, // report prints them
		SilenceUsage:      true,
		DisableAutoGenTag: true, // the man page says nothing about the day it was made
	}
	root.Flags().BoolVar(&asksVersion, "version", false, "print the version")
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(cmd, err)
	})
	root.AddCommand(
		a.runCommand(),
		a.recoverCommand(),
		a.keygenCommand(),
		a.signCommand(),
		a.verifyCommand(),
		a.showCommand(),
		a.diffCommand(),
		a.exportCommand(),
		a.logCommand(),
		a.pruneCommand(),
		a.imageCommand(),
		a.doctorCommand(),
		a.schemaCommand(),
		a.versionCommand(),
		a.manCommand(),
		a.guestCommand(),
	)
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args, completion.RunE = completionArgs, root.RunE
		completion.Example = `  . <(glasshouse completion bash)
  glasshouse completion fish > ~/.config/fish/completions/glasshouse.fish`
	}
	return root
}

// completionArgs is asked where no shell of cobra's was named. Help for an
// unknown one must not end up in a file of completions.
func completionArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(cmd, fmt.Errorf("unknown shell %q", args[0]))
	}
	return nil
}

// report prints an error and, if one is known, what would help.
func (a *app) report(err error) {
	fmt.Fprintf(a.stderr, "glasshouse: %s\n", printable(err.Error()))
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(a.stderr, "hint: %s\n", printable(hint))
	}
}

// coded is an error with an exit code of its own.
type coded struct {
	err  error
	code int
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }

// hinted is an error with a remedy.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// hintOf is what would help; "" if nothing is known to.
func hintOf(err error) string {
	var own *hinted
	var unavailable *audit.UnavailableError
	var ofImage *image.Error
	var ofFirecracker *firecracker.Error
	var missing *engine.MissingError
	switch {
	case errors.As(err, &own):
		return own.hint
	case errors.As(err, &unavailable):
		return unavailable.Hint
	case errors.As(err, &ofImage):
		return ofImage.Hint
	case errors.As(err, &ofFirecracker):
		return ofFirecracker.Hint
	case errors.As(err, &missing):
		return missing.Hint
	}
	if errors.Is(err, receipt.ErrNotReceipt) {
		return "a receipt is the JSON that glasshouse run writes, to receipt.json or where --output says"
	}
	return ""
}

// usageError points at the help of the command that was misused.
func usageError(cmd *cobra.Command, err error) error {
	return &hinted{err, fmt.Sprintf("%s --help shows what there is", cmd.CommandPath())}
}

// noArgs is cobra.NoArgs with a hint.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(cmd, fmt.Errorf("%s takes no arguments", cmd.CommandPath()))
	}
	return nil
}

// put writes to stdout, where a failure is an error: somebody asked for it.
func put(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

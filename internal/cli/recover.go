package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"glasshouse/audit"
	"glasshouse/journal"
	"glasshouse/receipt"
	"glasshouse/runner"
)

// recoverFlags are the flags of recover as they were given.
type recoverFlags struct {
	output string
	list   bool
	remove bool
	redact redactFlags

	noStore bool
}

func (a *app) recoverCommand() *cobra.Command {
	var f recoverFlags
	cmd := &cobra.Command{
		Use:   "recover [flags] [run]",
		Short: "Make the receipts of runs whose recorder was killed",
		Long: `Find the runs that left no receipt because their recorder was killed, crashed,
or could not write it, and make their receipts from the journals that they left:
everything up to the last whole record. Such a receipt says "complete": false
and why, what is not known for that reason, and which processes of the command
still run. Where the command's end is not known, its exit_code is 1 and the
outcome's error says so.

RUN is the name of a run as the list has it, an unambiguous beginning of it, or
the path of a journal; without it all runs are recovered. The receipt goes to
RUN.receipt.json in the current folder, or to where --output says. A file that
is there is never overwritten.

A run whose recorder still lives is listed as "recording" and left alone. A
journal that was recovered is moved aside, or with --remove deleted. Processes
are not ended; if the recorder left them frozen they are thawed, and the run's
cgroup is removed if nobody is in it any more.

` + redactHelp + `

Journals are in $XDG_STATE_HOME/glasshouse where that is set, else in
/var/lib/glasshouse for root and in ~/.local/state/glasshouse for others.`,
		Example: `  glasshouse recover --list
  sudo glasshouse recover
  glasshouse recover -o build.json 20260102-03`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.recover(cmd, &f, args)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.output, "output", "o", "", "write the receipt to `FILE`; - is stdout")
	flags.BoolVar(&f.list, "list", false, "only list the runs that have no end")
	flags.BoolVar(&f.remove, "remove", false, "delete the journal once its receipt is written")
	f.redact.add(cmd)
	flags.BoolVar(&f.noStore, "no-store", false, "keep no copy of the receipt in the history")
	return cmd
}

func (a *app) recover(cmd *cobra.Command, f *recoverFlags, args []string) error {
	if cmd.Flags().Changed("output") && f.output == "" {
		return usageError(cmd, errors.New("--output is empty"))
	}
	if err := f.redact.check(cmd); err != nil {
		return err
	}
	found, err := a.find(args)
	if err != nil {
		return err
	}
	if f.output != "" && len(found) > 1 {
		return &hinted{fmt.Errorf("--output %s: there are %d runs to recover", printable(f.output), len(found)), "name one of them: glasshouse recover --list"}
	}
	// With -o - stdout is the receipt's alone.
	list := io.Writer(a.stdout)
	if f.output == "-" {
		list = a.stderr
	}
	if len(found) == 0 {
		return put(list, "no run without an end\n")
	}
	failed := 0
	for _, e := range found {
		line, err := a.recoverOne(e, f, len(args) > 0)
		if err != nil {
			failed++
			a.report(fmt.Errorf("%s: %w", e.Run, err))
			continue
		}
		if err := put(list, line+"\n"); err != nil {
			return err
		}
	}
	if failed > 0 {
		a.code = exitFailure
	}
	return nil
}

// find lists the runs that were asked for.
func (a *app) find(args []string) ([]journal.Entry, error) {
	if len(args) > 0 && strings.ContainsRune(args[0], filepath.Separator) {
		name := strings.TrimSuffix(filepath.Base(args[0]), ".journal")
		return []journal.Entry{{Run: name, Path: args[0]}}, nil
	}
	state, err := stateDir()
	if err != nil {
		return nil, err
	}
	journal.Sweep(state)
	all, err := journal.List(state)
	if err != nil || len(args) == 0 {
		return all, err
	}
	var found []journal.Entry
	for _, e := range all {
		if e.Run == args[0] {
			return []journal.Entry{e}, nil
		}
		if args[0] != "" && strings.HasPrefix(e.Run, args[0]) {
			found = append(found, e)
		}
	}
	hint := "glasshouse recover --list shows the runs without an end"
	switch len(found) {
	case 0:
		return nil, &hinted{fmt.Errorf("no run without an end is named %q", args[0]), hint}
	case 1:
		return found, nil
	}
	return nil, &hinted{fmt.Errorf("%q is the beginning of %d runs", args[0], len(found)), hint}
}

// recoverOne returns the line that says what was found and done. A run that
// still goes on is an error only if it was asked for by name.
func (a *app) recoverOne(e journal.Entry, f *recoverFlags, named bool) (string, error) {
	c, err := journal.Claim(e.Path)
	if errors.Is(err, journal.ErrBusy) && (f.list || !named) {
		return f.describe(e, open(e.Path), "recording"), nil
	}
	if err != nil {
		return "", err
	}
	defer c.Close()
	o, err := journal.ReadOpen(c)
	if err != nil {
		return "", err
	}
	if f.list {
		return f.describe(e, o, "no receipt"), nil
	}
	if _, err := c.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	output := f.output
	if output == "" {
		output = e.Run + ".receipt.json"
	}
	if info, err := os.Stat(output); err == nil && info.Mode().IsRegular() && output != "-" {
		return "", &hinted{fmt.Errorf("%s is there already", output), "name another with --output"}
	}
	rec, err := runner.Recover(c, audit.Layout(), f.redact.receipt())
	if err == runner.ErrEnded && !named {
		return f.putAway(c, e, o)
	}
	if err != nil {
		return "", err
	}
	kept := newKeeping(f.noStore, recoveredID(o, rec), rec)
	err = a.writeReceipt(output, rec, kept, nil)
	a.kept(kept, kept.end(nil))
	if err != nil {
		return "", err
	}
	if f.remove {
		err = c.Remove()
	} else {
		_, err = c.Recovered()
	}
	if err != nil {
		a.report(fmt.Errorf("%s: the receipt is written, but the journal stays: %w", e.Run, err))
		a.code = exitFailure
	}
	where := "into " + printable(output)
	if output == "-" {
		where = "to stdout"
	}
	return fmt.Sprintf("%s  %s: %s%s", f.describe(e, o, "recovered"), where,
		count(int(rec.Observation.Events.Received), "event", "events"), survivors(rec)), nil
}

// putAway has a run that left a receipt no longer stand among those that did not.
func (f *recoverFlags) putAway(c *journal.Claimed, e journal.Entry, o *journal.Open) (string, error) {
	path, err := c.Keep()
	if err != nil {
		return "", err
	}
	return f.describe(e, o, "left a receipt") + "  journal " + printable(path), nil
}

// open reads the open record of a journal that cannot be claimed; nil if that
// fails.
func open(path string) *journal.Open {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	o, _ := journal.ReadOpen(f)
	return o
}

// describe is a line of the list: name, start, state, command.
func (f *recoverFlags) describe(e journal.Entry, o *journal.Open, state string) string {
	start, command := "?", "?"
	if o != nil {
		start = o.At.UTC().Format("2006-01-02T15:04:05Z")
		if rec, err := receipt.Read(bytes.NewReader(o.Receipt)); err == nil {
			if redact := f.redact.receipt(); redact != nil {
				redact(rec)
			}
			command = clip(printable(strings.Join(rec.Command.Argv, " ")), maxName)
		}
	}
	return fmt.Sprintf("%s  %s  %-10s  %s", printable(e.Run), start, state, command)
}

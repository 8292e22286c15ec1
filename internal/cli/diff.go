package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"glasshouse/attest"
	"glasshouse/receipt"
	"glasshouse/receipt/compare"
)

// The exit codes of diff, as of diff(1).
const (
	exitDifferent = 1 // with --exit-code
	exitNoAnswer  = 2 // it failed, or with --exit-code cannot tell
)

func (a *app) diffCommand() *cobra.Command {
	var asJSON, exitCode bool
	cmd := &cobra.Command{
		Use:   "diff [flags] A B",
		Short: "Tell what one run did that another did not",
		Long: `Compare receipts: print what the run of receipt B did that the run of receipt A
did not, by class. Nothing is printed if there is no such thing. What A did and
B did not is printed by "glasshouse diff B A".

A is a receipt, a folder (all *.json in it but signatures, *.sigstore.json), or a
glob such as 'runs/*.json': then it is printed what none of these did. If B is
in A's folder or glob, it is left out of A. Either may be an ID of the history
(glasshouse log), and one of them - for stdin.

How often something was done, in which order, and how long it took is not
compared. What differs between two runs of one command is normalised:

  <pid>   the number of a process of the run; <other pid> in /proc of another
  <port>  a port of the kernel's choice, 32768 to 60999, that the run itself
          listened on, or on the loopback address one that refused
  <tmp>   the random part of a name that the run made up, such as that of
          mktemp, if the other run made up a name for the same place as well
  <time>  a time or date of the run in a name that the run made
  <uuid>  a UUID in such a name
  <n>     the number of a pipe, a socket, a terminal, or a file without a name

A file name or argument that both runs have stays as it is. What only timing
decides, such as calls to futex, is told on stderr and does not count, nor does a
difference in what was printed. docs/DIFF.md has the rules in full.

Exit codes: 0; 2 if a receipt cannot be read or the arguments are wrong. With
--exit-code: 0 if there is no difference, 1 if there is, and 2 also if there is
none but the recording of B is not complete, which proves nothing.

With --json: {differences, timing, complete, caveats}, where the first two are
lists of {class, name, argv, other, detail}, complete says whether B was recorded
whole, and caveats are {receipt, text}.`,
		Example: `  glasshouse diff before.json after.json
  glasshouse diff --exit-code baselines/ receipt.json
  glasshouse diff --json 'runs/*.json' receipt.json | jq '.differences[].name'`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 2:
				return noAnswer(usageError(cmd, fmt.Errorf("%s takes two arguments", cmd.CommandPath())))
			case args[0] == "-" && args[1] == "-":
				return noAnswer(usageError(cmd, errors.New("stdin can be only one of the receipts")))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return noAnswer(a.diff(args[0], args[1], asJSON, exitCode))
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return noAnswer(usageError(cmd, err))
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the differences as JSON")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 if there are differences")
	return cmd
}

// noAnswer is an error that is no difference: CI has to tell them apart.
func noAnswer(err error) error {
	if err == nil {
		return nil
	}
	return &coded{err, exitNoAnswer}
}

func (a *app) diff(from, to string, asJSON, exitCode bool) error {
	names, err := baselines(from, to)
	if err != nil {
		return err
	}
	// Reading takes longer than comparing, so the next one is read meanwhile.
	run, next := a.readAhead(to), a.readAhead(names[0])
	rec, err := run()
	if err != nil {
		return err
	}
	c := compare.New(to, rec)
	for i, name := range names {
		base, err := next()
		if err != nil {
			return err
		}
		if i+1 < len(names) {
			next = a.readAhead(names[i+1])
		}
		c.Baseline(name, base)
	}
	res := c.Result()
	for _, caveat := range res.Caveats {
		fmt.Fprintf(a.stderr, "glasshouse: %s: %s\n", printable(caveat.Receipt), printable(caveat.Text))
	}
	if asJSON {
		text, err := json.MarshalIndent(res, "", "  ")
		if err != nil {
			return err
		}
		if err := put(a.stdout, string(text)+"\n"); err != nil {
			return err
		}
	} else {
		if line := timing(res.Timing); line != "" {
			fmt.Fprintf(a.stderr, "glasshouse: not counted: %s\n", line)
		}
		if err := put(a.stdout, differences(res.Differences, a.colour())); err != nil {
			return err
		}
	}
	switch {
	case !exitCode:
	case len(res.Differences) > 0:
		a.code = exitDifferent
	case !res.Complete:
		return &hinted{fmt.Errorf("%s: no difference was found, which proves nothing: the run was not wholly recorded", to), "its observation.reason says why"}
	}
	return nil
}

// readAhead begins to read a receipt; the function that it returns waits for it.
func (a *app) readAhead(name string) func() (*receipt.Receipt, error) {
	var rec *receipt.Receipt
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		rec, err = a.readReceipt(name)
	}()
	return func() (*receipt.Receipt, error) {
		<-done
		return rec, err
	}
}

// colour tells whether stdout is a terminal of somebody who wants colour.
func (a *app) colour() bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(a.stdout.Fd()))
}

// baselines are the receipts that an argument stands for, without the one that
// is compared with them.
func baselines(arg, compared string) ([]string, error) {
	info, err := os.Stat(arg)
	var found []string
	switch {
	case err == nil && info.IsDir():
		entries, err := os.ReadDir(arg)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".json") {
				found = append(found, filepath.Join(arg, e.Name()))
			}
		}
	case err != nil && strings.ContainsAny(arg, "*?["):
		if found, err = filepath.Glob(arg); err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
	default:
		return []string{arg}, nil
	}
	self, _ := os.Stat(compared)
	found = slices.DeleteFunc(found, func(name string) bool {
		if strings.HasSuffix(name, attest.Suffix) {
			return true
		}
		info, err := os.Stat(name)
		return err == nil && (info.IsDir() || self != nil && os.SameFile(info, self))
	})
	for _, name := range found {
		// Nobody named it, so nobody writes into it if it is a FIFO.
		if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is no file", name)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no receipt to compare with", arg)
	}
	return found, nil
}

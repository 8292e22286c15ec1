package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"glasshouse/internal/show"
)

// showFlags are what show was asked for instead of the page for people.
type showFlags struct {
	json, hosts, processes bool
	paths                  string // "" or one of show.PathKinds
	null                   bool   // paths end in NUL
}

func (a *app) showCommand() *cobra.Command {
	var flags showFlags
	cmd := &cobra.Command{
		Use:   "show [flags] [receipt]",
		Short: "Show a receipt to people, or lists of it to programs",
		Long: `Show a receipt, the most important first: how the command ended and how well it
was seen, what is unusual, who started whom, what was read, written and deleted
by folder, who was talked to, and what could not be seen. RECEIPT is a file, an
ID of the history (glasshouse log) or - for stdin; without it receipt.json in
the current folder.

The page is as wide as the terminal, at most 120 columns, and 80 in a pipe.
There are colours on a terminal alone, and not if NO_COLOR is set or TERM is
dumb. Without a UTF-8 locale (LC_ALL, LC_CTYPE, LANG) it is all ASCII.

What is unusual is worked out from the receipt. That nothing is does not mean
that nothing was: what could not be seen stands at the end.

For programs there are, one at a time:

  --json        the receipt as it is in its file, byte for byte
  --paths       one path a line: all that are wholly known. --paths=read,
                =written, =deleted or =executed picks those. A path may hold
                a newline; with --null each ends in a NUL byte instead.
                Paths are the exact bytes, but escaped on a terminal.
  --hosts       one line for each address and result, unix sockets aside:
                HOST DST PROTOCOL RESULT COUNT, parted by tabs. HOST is the name
                that led there, or the address without its port.
  --processes   one line for each process, by start: PID PPID END MS COMMAND,
                parted by tabs. END is the exit code, the signal, running, or ?
                if it was not seen; MS is how long it took in milliseconds, ? if
                that is not known; COMMAND is quoted as for a shell.`,
		Example: `  glasshouse show
  glasshouse show build.json | less
  glasshouse show --paths=written build.json
  glasshouse show --paths=deleted -0 build.json | xargs -0 ls -ld --
  glasshouse show --hosts build.json | cut -f1 | sort -u`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError(cmd, errors.New("show takes one receipt"))
			}
			return flags.check(cmd)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			name := "receipt.json"
			if len(args) > 0 {
				name = args[0]
			}
			err := a.show(name, flags)
			if errors.Is(err, syscall.EPIPE) {
				return nil // whoever reads has had enough
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&flags.json, "json", false, "print the receipt as it is")
	f.StringVar(&flags.paths, "paths", "", "print paths of a `kind`, one a line: all, read, written, deleted or executed")
	f.Lookup("paths").NoOptDefVal = "all"
	f.BoolVarP(&flags.null, "null", "0", false, "with --paths: end each with a NUL byte")
	f.BoolVar(&flags.hosts, "hosts", false, "print hosts, one a line")
	f.BoolVar(&flags.processes, "processes", false, "print processes, one a line")
	return cmd
}

func (f showFlags) check(cmd *cobra.Command) error {
	var set []string
	for _, name := range []string{"json", "paths", "hosts", "processes"} {
		if cmd.Flags().Changed(name) {
			set = append(set, "--"+name)
		}
	}
	switch {
	case len(set) > 1:
		return usageError(cmd, fmt.Errorf("%s exclude each other", strings.Join(set, " and ")))
	case f.null && f.paths == "":
		return usageError(cmd, errors.New("--null goes with --paths"))
	case cmd.Flags().Changed("paths") && !slices.Contains(show.PathKinds, f.paths):
		return usageError(cmd, fmt.Errorf("--paths: unknown kind %q: there are %s", f.paths, strings.Join(show.PathKinds, ", ")))
	}
	return nil
}

func (a *app) show(name string, flags showFlags) error {
	if flags.json {
		data, err := a.readReceiptBytes(name)
		if err != nil {
			return err
		}
		return put(a.stdout, string(data))
	}
	rec, err := a.readReceipt(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(a.stdout)
	switch {
	case flags.paths != "":
		end := byte('\n')
		if flags.null {
			end = 0
		}
		show.Paths(w, rec, flags.paths, end, !flags.null && term.IsTerminal(int(a.stdout.Fd())))
	case flags.hosts:
		show.Hosts(w, rec)
	case flags.processes:
		show.Processes(w, rec)
	default:
		w.WriteString(show.Page(rec, a.looks()))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// looks is what stdout can show.
func (a *app) looks() show.Options {
	o := show.Options{Width: 80, Unicode: unicodeLocale(os.Getenv), Color: a.colour()}
	if width := a.columns(); width > 0 {
		o.Width = width
	}
	return o
}

// unicodeLocale tells whether the locale's characters are encoded in UTF-8, by
// the variables of setlocale(3).
func unicodeLocale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToLower(getenv(name)); locale != "" {
			return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
		}
	}
	return false
}

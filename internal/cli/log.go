package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"glasshouse/receipt"
	"glasshouse/store"
)

// logFlags are the flags of log as they were given.
type logFlags struct {
	path    string
	host    string
	command string
	since   string
	failed  bool
	limit   int
	json    bool
}

func (a *app) logCommand() *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Use:   "log [flags]",
		Short: "List the receipts that were kept",
		Long: `List the receipts of earlier runs, the newest first: ID, start in local time,
exit code or signal, duration, whether the recording is complete, command. On a
terminal of less than 100 columns the start is in the ID alone, in UTC. With
several filters a receipt has to pass all of them.

--path takes files and folders that were read, written, run, made, renamed,
changed or deleted, not those where that failed. In the pattern * ? and [a-z]
stand for characters of one component, and ** for any number of components. A
pattern that does not begin with / may begin at any component: *.key is any file
of such a name. One that ends in / is all that lies below.

--host takes a name that was asked for or connected to, an address, or an
address with its port as receipts write it, such as [2001:db8::1]:443. --command
takes a part of the arguments, joined by spaces; of very long ones the first
16 KiB are known. In both * ? and [a-z] stand for any characters.

A terminal gets the newest 100 unless --limit says otherwise, and a line that
there are more; a pipe or a file gets all.

With --json each receipt is an object on a line of its own: id, receipt (its
file), bytes, signed (there is a signature beside it, which nobody has checked),
execution_id, started_at, duration_ms, exit_code, signal, error, mode, complete,
argv, argv_cut. One that cannot be read has id, receipt, bytes, signed and
unreadable, which says why.

An ID, the beginning or end of one, or the beginning of an execution_id can be
given to other commands in the place of a file, as long as no other has it too.

Receipts are in $XDG_STATE_HOME/glasshouse/receipts where that is set, else in
/var/lib/glasshouse/receipts for root and in
~/.local/state/glasshouse/receipts for others. The index in the folder beside
can be deleted: it is made anew.`,
		Example: `  glasshouse log -n 10
  glasshouse log --path '/etc/**' --since 7d
  glasshouse log --path '*.pem' --host '*.example.org' --failed
  glasshouse log --command 'npm *install' --json | jq -r .receipt`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.log(cmd, &f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.path, "path", "", "runs that touched a path that fits `GLOB`")
	flags.StringVar(&f.host, "host", "", "runs that tried to reach `HOST`, a name or address, or asked for it")
	flags.StringVar(&f.command, "command", "", "runs whose command holds `TEXT`")
	flags.StringVar(&f.since, "since", "", "runs that began at `TIME` or later: 2h or 7d ago, a date such as 2026-01-31, or RFC 3339")
	flags.BoolVar(&f.failed, "failed", false, "runs with another exit code than 0, a signal or an error")
	flags.IntVarP(&f.limit, "limit", "n", 0, "the newest `N` alone, 0 for all")
	flags.BoolVar(&f.json, "json", false, "print an object for each receipt, one a line")
	return cmd
}

func (a *app) log(cmd *cobra.Command, f *logFlags) error {
	q, err := f.query(cmd, time.Now())
	if err != nil {
		return usageError(cmd, err)
	}
	columns := a.columns()
	screenful := columns > 0 && !cmd.Flags().Changed("limit")
	if screenful {
		q.Limit = screenRows + 1 // one more than is shown tells that there are more
	}
	history, err := openStore()
	if err != nil {
		return err
	}
	collectLate()
	found, err := history.Find(cmd.Context(), q)
	if err != nil {
		return err
	}
	if found.Unsearched > 0 {
		fmt.Fprintf(a.stderr, "glasshouse: %s cannot be read and %s not searched\n",
			count(found.Unsearched, "receipt", "receipts"), map[bool]string{true: "was", false: "were"}[found.Unsearched == 1])
	}
	if len(found.Entries) == 0 {
		fmt.Fprintln(a.stderr, "glasshouse: no receipt found")
		return nil
	}
	more := screenful && len(found.Entries) > screenRows
	if more {
		found.Entries = found.Entries[:screenRows]
	}
	out := bufio.NewWriterSize(a.stdout, 64<<10)
	line := logLine(columns)
	if f.json {
		line = func(e *store.Entry) ([]byte, error) { return logJSON(history, e) }
	}
	for i := range found.Entries {
		text, err := line(&found.Entries[i])
		if err != nil {
			return err
		}
		if _, err := out.Write(append(text, '\n')); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	if more {
		fmt.Fprintf(a.stderr, "glasshouse: there are more than these %d: -n 0 lists all\n", screenRows)
	}
	return nil
}

// screenRows is what somebody at a terminal looks through.
const screenRows = 100

// query says which of the flags makes no sense.
func (f *logFlags) query(cmd *cobra.Command, now time.Time) (store.Query, error) {
	q := store.Query{Host: f.host, Command: f.command, Failed: f.failed, Limit: f.limit}
	for _, name := range []string{"path", "host", "command", "since"} {
		if flag := cmd.Flags().Lookup(name); flag.Changed && flag.Value.String() == "" {
			return q, fmt.Errorf("--%s is empty", name)
		}
	}
	if f.limit < 0 {
		return q, fmt.Errorf("--limit %d: it must be 0 or more", f.limit)
	}
	if f.path != "" {
		g, err := store.ParseGlob(f.path)
		if err != nil {
			return q, fmt.Errorf("--path: %w", err)
		}
		q.Path = &g
	}
	if f.since != "" {
		since, err := moment(f.since, now)
		if err != nil {
			return q, fmt.Errorf("--since %s: %w", f.since, err)
		}
		q.Since = since
	}
	return q, nil
}

// columns is how wide the terminal is that stdout is; 0 if it is none.
func (a *app) columns() int {
	if width, _, err := term.GetSize(int(a.stdout.Fd())); err == nil {
		return width
	}
	return 0
}

// minCommand is what is shown of a command however narrow the terminal is.
const minCommand = 20

// wideLog are the columns from which on there is room for the time beside the ID.
const wideLog = 100

// logLine prints a receipt for people, cut to some columns unless these are 0.
// Where these are few the time is left to the ID, which begins with it, in UTC.
func logLine(columns int) func(*store.Entry) ([]byte, error) {
	return func(e *store.Entry) ([]byte, error) {
		head, text := "", "unreadable: "+e.Unreadable
		if e.Unreadable == "" {
			head = fmt.Sprintf("%-8s  %7s  %-12s  ", logEnd(e), logDuration(e.DurationMS), logComplete(e))
			text = e.Command
			if e.ArgvCut {
				text += " ..."
			}
		}
		text = printable(text)
		if columns == 0 || columns >= wideLog {
			head = e.StartedAt.Local().Format(time.DateTime) + "  " + head
		}
		head = e.ID + "  " + head
		if columns > 0 {
			text = clip(text, max(columns-len(head), minCommand))
		}
		return []byte(strings.TrimRight(head+text, " ")), nil
	}
}

// maxSignal is more columns than the name of a signal takes.
const maxSignal = 20

func logEnd(e *store.Entry) string {
	switch {
	case e.Signal != nil:
		return clip(printable(*e.Signal), maxSignal)
	case e.Error != nil && e.ExitCode == exitFailure:
		return "error"
	}
	return fmt.Sprintf("exit %d", e.ExitCode)
}

func logComplete(e *store.Entry) string {
	switch {
	case e.Complete:
		return "complete"
	case e.Mode == "none":
		return "not observed"
	}
	return "INCOMPLETE"
}

// logDuration has three digits or so.
func logDuration(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Second:
		return d.String()
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// logJSON prints a receipt for programs.
func logJSON(history *store.Store, e *store.Entry) ([]byte, error) {
	type file struct {
		ID      string `json:"id"`
		Receipt string `json:"receipt"`
		Bytes   int64  `json:"bytes"`
		Signed  bool   `json:"signed"`
	}
	at := file{e.ID, history.Path(e.ID), e.Bytes, e.Signed}
	var v any = struct {
		file
		ExecutionID string          `json:"execution_id"`
		StartedAt   receipt.Time    `json:"started_at"`
		DurationMS  int64           `json:"duration_ms"`
		ExitCode    int             `json:"exit_code"`
		Signal      *string         `json:"signal"`
		Error       *string         `json:"error"`
		Mode        string          `json:"mode"`
		Complete    bool            `json:"complete"`
		Argv        json.RawMessage `json:"argv"`
		ArgvCut     bool            `json:"argv_cut"`
	}{at, e.ExecutionID, e.StartedAt, e.DurationMS, e.ExitCode, e.Signal, e.Error, e.Mode, e.Complete, json.RawMessage(e.Argv), e.ArgvCut}
	if e.Unreadable != "" {
		v = struct {
			file
			Unreadable string `json:"unreadable"`
		}{at, e.Unreadable}
	}
	return json.Marshal(v)
}

// moment reads a time: so long before now, a date in local time, or RFC 3339.
func moment(text string, now time.Time) (time.Time, error) {
	if d, err := span(text); err == nil {
		return now.Add(-d), nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	return time.Time{}, errors.New("it must be such as 90m, 2h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z")
}

// span reads a duration, which may also be in days or weeks: 7d, 2w.
func span(text string) (time.Duration, error) {
	unit := map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	for suffix, one := range unit {
		if digits, ok := strings.CutSuffix(text, suffix); ok {
			var n int64
			if _, err := fmt.Sscanf(digits, "%d", &n); err != nil || fmt.Sprint(n) != digits || n < 0 || n > int64(maxSpan/one) {
				return 0, errors.New("not a duration")
			}
			return time.Duration(n) * one, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, errors.New("not a duration")
	}
	return d, nil
}

// maxSpan is about as far as a duration goes.
const maxSpan = 290 * 365 * 24 * time.Hour

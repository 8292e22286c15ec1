package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"glasshouse/export/github"
	"glasshouse/export/html"
	"glasshouse/export/intoto"
	"glasshouse/export/ocsf"
	"glasshouse/export/trace"
	"glasshouse/internal/files"
	"glasshouse/receipt"
)

// exportFormat is a form in which a receipt is handed on.
type exportFormat struct {
	name, doc string
	// write is nil for otlp, which is sent.
	write func(w io.Writer, rec *receipt.Receipt, file receiptFile) error
}

// exportFormats are sorted by name.
var exportFormats = []exportFormat{
	{"github", "a job summary for GitHub Actions, in Markdown", receiptAlone(github.Write)},
	{"html", "a report in one file for a browser, with process tree and timeline", receiptAlone(html.Write)},
	{"in-toto", "a link and a runtime trace, statements of in-toto, as JSON Lines", writeInToto},
	{"ocsf", "events of OCSF 1.7.0, as JSON Lines", receiptAlone(ocsf.Write)},
	{"otlp", "OpenTelemetry's spans and log records, sent to a receiver", nil},
	{"trace", "Chrome's trace event format, for Perfetto and chrome://tracing", receiptAlone(trace.Write)},
}

// receiptAlone is a format that says nothing of the receipt's file.
func receiptAlone(write func(io.Writer, *receipt.Receipt) error) func(io.Writer, *receipt.Receipt, receiptFile) error {
	return func(w io.Writer, rec *receipt.Receipt, _ receiptFile) error { return write(w, rec) }
}

func writeInToto(w io.Writer, rec *receipt.Receipt, file receiptFile) error {
	name := filepath.Base(file.Name)
	if file.Name == "-" {
		name = "receipt.json"
	}
	return intoto.Write(w, rec, intoto.File{Name: name, SHA256: file.SHA256})
}

func (a *app) exportCommand() *cobra.Command {
	var to, output string
	var target otlpTarget
	cmd := &cobra.Command{
		Use:   "export RECEIPT --to FORMAT",
		Short: "Hand a receipt on in another form",
		Long: `Write what a receipt says in another form, on stdout or to a file. RECEIPT is
a file, an ID of the history (glasshouse log) or - for stdin. The formats:

` + formatList() + `

Only otlp uses the network: OTLP over HTTP, to --endpoint or, without it, to what
` + otlpEndpoint + ` says. Headers come from --header and from
` + otlpHeaders + `.`,
		Example: `  glasshouse export receipt.json --to html -o report.html
  glasshouse export receipt.json --to trace -o trace.json
  glasshouse export receipt.json --to github >> "$GITHUB_STEP_SUMMARY"
  glasshouse export receipt.json --to otlp --endpoint http://localhost:4318`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError(cmd, fmt.Errorf("%s takes one receipt, not %d", cmd.CommandPath(), len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := exportFormatNamed(to)
			if err != nil {
				return err
			}
			sends := format.write == nil
			if err := target.check(cmd, sends); err != nil {
				return err
			}
			var endpoint string
			var headers http.Header
			if sends {
				if endpoint, headers, err = target.fromEnvironment(os.Getenv); err != nil {
					return err
				}
			}
			rec, file, err := a.readReceiptFile(args[0])
			if err != nil {
				return err
			}
			if sends {
				return a.sendOTLP(cmd.Context(), endpoint, headers, rec)
			}
			write := func(w io.Writer) error {
				buffered := bufio.NewWriter(w)
				if err := format.write(buffered, rec, file); err != nil {
					return err
				}
				return buffered.Flush()
			}
			if output != "-" {
				return files.Replace(output, write)
			}
			if err := write(a.stdout); err != nil {
				return fmt.Errorf("write the output: %w", err)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "the `FORMAT`: "+formatNames())
	f.StringVarP(&output, "output", "o", "-", "write to this `FILE`; - is stdout")
	target.register(cmd)
	complete := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var list []string
		for _, f := range exportFormats {
			list = append(list, cobra.CompletionWithDesc(f.name, f.doc))
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
	if err := cmd.RegisterFlagCompletionFunc("to", complete); err != nil {
		panic(err) // there is no such flag
	}
	return cmd
}

func exportFormatNamed(name string) (exportFormat, error) {
	for _, f := range exportFormats {
		if f.name == name {
			return f, nil
		}
	}
	err := fmt.Errorf("unknown format %q", name)
	if name == "" {
		err = errors.New("--to has to name a format")
	}
	return exportFormat{}, &hinted{err, "the formats are " + formatNames()}
}

func formatNames() string {
	var names []string
	for _, f := range exportFormats {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// formatList has a line for each format, for the help.
func formatList() string {
	var b strings.Builder
	for _, f := range exportFormats {
		fmt.Fprintf(&b, "    %-8s  %s\n", f.name, f.doc)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

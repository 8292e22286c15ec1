package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"glasshouse/attest"
)

// verifyFlags are the flags of verify as they were given.
type verifyFlags struct {
	key     string
	bundle  string
	journal string
	files   bool
	json    bool
}

func (a *app) verifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify receipt --key FILE",
		Short: "Check a signed receipt",
		Long: `Check a receipt and its bundle, RECEIPT.sigstore.json, with a public key that is
known to be the signer's. What the bundle says of its key is not believed. An ID
of the history stands for the receipt that was kept there.

Each check is a line: what was compared, or what is wrong. The exit code is 0 if
all hold, else 1. Checked are the signature, the types of what was signed, the
digest of the receipt, what the signed statement says of it, whom it vouches
for, and the receipt for contradictions; with --files the files that the run
wrote, by their digests, on this machine; and the run's journal (run
--keep-journal), if one that names the receipt is in the state folder of who
verifies, or where --journal says.

With --json the result is {verified, checks}, and a check {check, status,
detail}; status is ok, fail, or skip for what was not looked at.`,
		Example: `  glasshouse verify receipt.json --key glasshouse.pub
  glasshouse verify receipt.json --key glasshouse.pub --files --json | jq .verified`,
		Args: oneReceipt,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range []string{"key", "bundle", "journal"} {
				if flag := cmd.Flags().Lookup(name); flag.Changed && flag.Value.String() == "" {
					return usageError(cmd, fmt.Errorf("--%s is empty", name))
				}
			}
			if f.key == "" {
				return usageError(cmd, errors.New("--key is missing: the file of the signer's public key"))
			}
			return a.verify(cmd, &f, args[0])
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.key, "key", "", "check the signature with the public key in `FILE`")
	flags.StringVar(&f.bundle, "bundle", "", "read the bundle from `FILE`")
	flags.BoolVar(&f.files, "files", false, "compare the files that the run wrote, too")
	flags.StringVar(&f.journal, "journal", "", "read the run's journal from `FILE`")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
	return cmd
}

func (a *app) verify(cmd *cobra.Command, f *verifyFlags, path string) error {
	key, err := attest.ReadPublicKey(f.key)
	if err != nil {
		return keyError(err)
	}
	path, err = a.receiptPath(path)
	if err != nil {
		return err
	}
	state, _ := stateDir() // without one there is no journal
	report, err := attest.Verify(cmd.Context(), attest.Options{
		Receipt: path, Bundle: f.bundle, Key: key, Files: f.files, Journal: f.journal, State: state,
	})
	var missing *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &missing) && missing.Path != f.journal:
		return &hinted{err, "glasshouse sign, and run --sign, make the bundle of a receipt"}
	case err != nil:
		return err
	}
	if !report.Verified {
		a.code = exitFailure
	}
	if f.json {
		text, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		return put(a.stdout, string(text)+"\n")
	}
	return put(a.stdout, verdict(report))
}

func verdict(r *attest.Report) string {
	var b strings.Builder
	failed := 0
	for _, c := range r.Checks {
		if c.Status == attest.Fail {
			failed++
		}
		fmt.Fprintf(&b, "%-4s  %-11s  %s\n", c.Status, c.Name, printable(c.Detail))
	}
	if failed > 0 {
		fmt.Fprintf(&b, "not verified: %s.\n", count(failed, "check failed", "checks failed"))
	} else {
		b.WriteString("verified.\n")
	}
	return b.String()
}

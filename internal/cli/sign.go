package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"glasshouse/attest"
	"glasshouse/internal/files"
	"glasshouse/receipt"
)

func (a *app) signCommand() *cobra.Command {
	var key, output string
	cmd := &cobra.Command{
		Use:   "sign receipt --key FILE",
		Short: "Sign a receipt",
		Long: `Sign a receipt that is there already, as run --sign does at the end of a run.

The signature goes to RECEIPT.sigstore.json, or to where --output says: a
Sigstore bundle with an in-toto statement. It vouches for the receipt, for the
output that the receipt has the hashes of, and for the files that the run wrote
and that nobody has changed since it ended. A file that is there already is
never overwritten.

A receipt that contradicts itself, or of version v0.2, is not signed. A private
key that others than its owner may read is refused.`,
		Example: `  glasshouse sign receipt.json --key glasshouse.key`,
		Args:    oneReceipt,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case key == "":
				return usageError(cmd, errors.New("--key is missing: the file of the private key"))
			case cmd.Flags().Changed("output") && output == "":
				return usageError(cmd, errors.New("--output is empty"))
			case output == "-":
				return usageError(cmd, errors.New("--output -: the bundle must be a file"))
			case output == "":
				output = args[0] + attest.Suffix
			}
			return a.sign(args[0], key, output)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&key, "key", "", "sign with the private key in `FILE`")
	flags.StringVarP(&output, "output", "o", "", "write the bundle to `FILE`")
	return cmd
}

// oneReceipt is for commands that read a receipt's file twice or name another
// after it: stdin will not do.
func oneReceipt(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usageError(cmd, errors.New("no receipt is named"))
	case len(args) > 1:
		return usageError(cmd, fmt.Errorf("one receipt at a time: %q is too much", args[1]))
	case args[0] == "" || args[0] == "-":
		return usageError(cmd, fmt.Errorf("%q: the receipt must be a file", args[0]))
	}
	return nil
}

func (a *app) sign(path, keyFile, output string) error {
	key, err := readPrivateKey(keyFile)
	if err != nil {
		return err
	}
	exists := func(err error) error {
		return &hinted{err, "bundles are not overwritten: remove it, or name another with --output"}
	}
	if _, err := os.Lstat(output); err == nil {
		return exists(fmt.Errorf("%s is there already", output))
	}
	rec, digest, err := attest.ReadReceipt(path)
	if errors.Is(err, fs.ErrNotExist) {
		return noReceipt(err)
	}
	if err != nil {
		return err
	}
	if problems := receipt.Check(rec); len(problems) > 0 {
		return &hinted{fmt.Errorf("%s contradicts itself: %s", path, problems[0]), "a receipt that was changed after its run is not signed"}
	}
	signed, err := attest.Sign(context.Background(), key, filepath.Base(path), digest, rec)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := files.New(output, signed.Bundle, 0o644); errors.Is(err, fs.ErrExist) {
		return exists(err)
	} else if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "glasshouse: %s\n", vouchesFor(output, signed))
	return nil
}

func noReceipt(err error) error {
	return &hinted{err, "glasshouse run writes receipt.json, or what --output names"}
}

func vouchesFor(bundle string, s *attest.Signed) string {
	text := fmt.Sprintf("%s vouches for %s", printable(bundle), count(s.Subjects, "subject", "subjects"))
	if s.Excluded > 0 {
		text += fmt.Sprintf(", not for %s", count(s.Excluded, "written file", "written files"))
	}
	return text
}

// readPrivateKey turns what is known to help into a hint.
func readPrivateKey(path string) (*attest.PrivateKey, error) {
	key, err := attest.ReadPrivateKey(path)
	return key, keyError(err)
}

func keyError(err error) error {
	var k *attest.KeyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &k) && k.Remedy != "":
		err = &hinted{err, k.Remedy}
	case errors.Is(err, fs.ErrNotExist):
		err = &hinted{err, "glasshouse keygen makes a pair of keys"}
	}
	return fmt.Errorf("key: %w", err)
}

// signingKey reads the key of run --sign, before the command can lay hands on
// it; nil without the flag.
func signingKey(cmd *cobra.Command, f *runFlags) (*attest.PrivateKey, error) {
	if f.sign == "" {
		return nil, nil
	}
	if f.output == "-" || mayBlock(f.output) {
		return nil, &hinted{
			fmt.Errorf("--sign needs a receipt in a file, and the output is %s", printable(f.output)),
			"name a file with --output: the bundle is put beside it",
		}
	}
	return readPrivateKey(f.sign)
}

// signing takes the sum of what is to be signed; nil without a key.
func signing(key *attest.PrivateKey) hash.Hash {
	if key == nil {
		return nil
	}
	return sha256.New()
}

// bundleOf is nil for what was not signed.
func bundleOf(signed *attest.Signed) []byte {
	if signed == nil {
		return nil
	}
	return signed.Bundle
}

// signWritten signs the receipt that a run has just written, by the digest of
// what was written: the file may be another one by now. Who sends a signal waits
// no longer than patience says. It returns nil where there is no key. If it fails
// no bundle is left beside the receipt: it would be an earlier one's.
func signWritten(key *attest.PrivateKey, path string, sum hash.Hash, rec *receipt.Receipt, writeErr error, heard *hearing) (*attest.Signed, error) {
	if key == nil {
		return nil, nil
	}
	if writeErr != nil {
		return nil, errors.New("it could not be written")
	}
	bundle := path + attest.Suffix
	ctx, stop := patience(heard, rec.Timing.EndedAt.Time, signGrace)
	defer stop()
	signed, err := attest.Sign(ctx, key, filepath.Base(path), hex.EncodeToString(sum.Sum(nil)), rec)
	if err == nil {
		err = files.Replace(bundle, func(w io.Writer) error {
			_, err := w.Write(signed.Bundle)
			return err
		})
	}
	if err != nil {
		if left := removeFile(bundle); left != nil {
			err = fmt.Errorf("%w; and the signature of an earlier one stays: %w", err, left)
		}
	}
	return signed, err
}

// removeFile removes a file, or a link to one, if there is any.
func removeFile(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && (info.Mode().IsRegular() || info.Mode().Type() == fs.ModeSymlink) {
		err = os.Remove(path)
	}
	return err
}

// signGrace is how long a signature may still take after a signal: most take
// less, and the one that ended the command may be heard only now.
const signGrace = time.Second

// patience is a context that ends some time after the first signal that came
// later than the command's end, at once with the second.
func patience(heard *hearing, end time.Time, grace time.Duration) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		var over <-chan time.Time
		for {
			switch n := heard.since(end); {
			case n > 1:
				cancel(errImpatient)
				return
			case n == 1 && over == nil:
				over = time.After(grace)
			}
			select {
			case <-heard.more:
			case <-over:
				cancel(errImpatient)
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

var errImpatient = errors.New("a signal came while the files that the run wrote were read")

// reportSigned says what came of run --sign.
func (a *app) reportSigned(f *runFlags, signed *attest.Signed, err error) {
	switch {
	case err != nil:
		err := fmt.Errorf("the receipt is not signed: %w", err)
		if errors.Is(err, errImpatient) {
			err = &hinted{err, fmt.Sprintf("glasshouse sign %s --key %s signs it", f.output, f.sign)}
		}
		a.report(err)
	case signed != nil && !f.quiet:
		fmt.Fprintf(a.stderr, "  %-10s %s\n", "signed", vouchesFor(f.output+attest.Suffix, signed))
	}
}

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"glasshouse/attest"
)

func (a *app) keygenCommand() *cobra.Command {
	var name, keyType string
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a pair of keys to sign receipts with",
		Long: `Make a pair of keys: NAME.key, which signs and which its owner alone may read,
and NAME.pub, which verifies and is for everybody. Nothing is overwritten.

The private key is not encrypted: who can read it can sign. It is PKCS #8 in
PEM, the public one SubjectPublicKeyInfo in PEM, as other tools have them.`,
		Example: `  glasshouse keygen
  glasshouse keygen -o ci --type ecdsa-p256`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case name == "":
				return usageError(cmd, errors.New("--output is empty"))
			case name == "-" || os.IsPathSeparator(name[len(name)-1]):
				return usageError(cmd, fmt.Errorf("--output %s: it must be what the names of two files begin with", printable(name)))
			case keyType != attest.Ed25519 && keyType != attest.ECDSAP256:
				return usageError(cmd, fmt.Errorf("--type %s: it must be %s or %s", printable(keyType), attest.Ed25519, attest.ECDSAP256))
			}
			key, err := attest.GenerateKey(keyType)
			if err != nil {
				return err
			}
			if err := attest.WriteKeyPair(name, key); errors.Is(err, fs.ErrExist) {
				return &hinted{err, "keys are not overwritten: name others with --output"}
			} else if err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "glasshouse: %s.key signs, %s.pub verifies\n", printable(name), printable(name))
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&name, "output", "o", "glasshouse", "write `NAME`.key and NAME.pub")
	flags.StringVar(&keyType, "type", attest.Ed25519, "make keys of this type: `ed25519|ecdsa-p256`")
	return cmd
}

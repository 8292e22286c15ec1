package attest

import (
	"errors"
	"fmt"
	"io"
	"os"

	"glasshouse/internal/files"
)

// maxKeyFile is far more than a key takes, in bytes.
const maxKeyFile = 64 << 10

// ReadPrivateKey reads the key in a file, which others than its owner must not
// be able to read: what they sign could not be told from what the owner signs.
// Errors name the file; one that lies in its content or mode wraps a *KeyError.
func ReadPrivateKey(path string) (*PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if exposed(info) {
		return nil, fmt.Errorf("%s: %w", path, &KeyError{
			fmt.Sprintf("others may read this private key: its mode is %04o", info.Mode().Perm()),
			"chmod 600 takes that right away; if they had it for long, make a new pair",
		})
	}
	return readKey(f, ParsePrivateKey)
}

// ReadPublicKey reads the key in a file. Its errors are those of
// ReadPrivateKey.
func ReadPublicKey(path string) (*PublicKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readKey(f, ParsePublicKey)
}

func readKey[K any](f *os.File, parse func([]byte) (K, error)) (key K, err error) {
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return key, err
	}
	if len(text) > maxKeyFile {
		err = &KeyError{Problem: "too large for a key"}
	} else {
		key, err = parse(text)
	}
	if err != nil {
		return key, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return key, nil
}

// WriteKeyPair writes k to name.key, for its owner alone, and its public half
// to name.pub. Neither file may be there already; after an error neither is
// there that was not before.
func WriteKeyPair(name string, k *PrivateKey) error {
	private, err := k.PEM()
	if err != nil {
		return err
	}
	if err := files.New(name+".key", private, 0o600); err != nil {
		return err
	}
	if err := files.New(name+".pub", k.Public().PEM(), 0o644); err != nil {
		return errors.Join(err, os.Remove(name+".key"))
	}
	return nil
}

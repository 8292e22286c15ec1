package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"glasshouse/receipt"
)

// readReceipt reads the receipt that an argument names: a file, or - for
// stdin.
func (a *app) readReceipt(name string) (*receipt.Receipt, error) {
	if name == "-" {
		rec, err := receipt.Read(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("stdin: %w", err)
		}
		return rec, nil
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &hinted{fmt.Errorf("%s: no such file", name), "glasshouse run writes receipt.json, or what --output names"}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rec, err := receipt.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rec, nil
}

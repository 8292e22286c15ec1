//go:build !linux

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
)

func (f *folderSource) tree(context.Context) (*tree, string, error) {
	return nil, "", fmt.Errorf("a root file system from a folder: %w", errors.ErrUnsupported)
}

func (f *folderSource) contents(context.Context, func(int, io.Reader) error) error {
	return errors.ErrUnsupported
}

//go:build !unix

package image

import "errors"

func mkfifo(string) error { return errors.ErrUnsupported }

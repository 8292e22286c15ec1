//go:build !linux

package main

import (
	"context"
	"errors"
	"io"
)

func (m *matrix) onHost(context.Context, io.Writer) error {
	return errors.New("the host's kernel is no Linux")
}

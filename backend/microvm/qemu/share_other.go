//go:build !linux

package qemu

import (
	"context"
	"errors"

	"glasshouse/backend/microvm/engine"
)

type daemon struct{}

func share(context.Context, string, string) (*daemon, string, error) {
	return nil, "", errors.New("to share a folder by virtiofs takes Linux: without --virtiofs it is sent in")
}

func (*daemon) kill() {}

func (*daemon) with(vm engine.VM) engine.VM { return vm }

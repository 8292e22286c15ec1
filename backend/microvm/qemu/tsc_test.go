package qemu

import (
	"runtime"
	"testing"
)

func TestCounterKHz(t *testing.T) {
	khz := counterKHz()
	if runtime.GOARCH != "amd64" {
		if khz != 0 {
			t.Errorf("%d kHz of a counter that is not there", khz)
		}
		return
	}
	if khz < 500_000 || khz > 10_000_000 {
		t.Errorf("%d kHz", khz)
	}
}

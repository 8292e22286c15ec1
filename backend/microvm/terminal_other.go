//go:build !unix

package microvm

import "os"

func notifyResize(chan os.Signal) {}

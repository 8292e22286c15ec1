//go:build !linux

package agent

import (
	"fmt"
	"os"
)

// Main is for the first process of a microVM, which runs Linux.
func Main(string) {
	fmt.Fprintln(os.Stderr, "glasshouse: guest is for the first process of a microVM")
	os.Exit(1)
}

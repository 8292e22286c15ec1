// Glasshouse is a flight recorder for commands.
package main

import (
	"fmt"
	"os"

	"glasshouse/guest"
	"glasshouse/internal/cli"
)

func main() {
	// Before anything looks at /proc: the first process of a guest mounts it.
	if err := guest.EarlyInit(); err != nil {
		fmt.Fprintln(os.Stderr, "glasshouse:", err)
		os.Exit(1)
	}
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Glasshouse is a flight recorder for commands.
package main

import (
	"os"

	"glasshouse/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Glasshouse is a flight recorder for commands.
package main

import (
	"fmt"
	"io"
	"log"
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
	// What net/http has to say of a peer that does not keep to HTTP would come among
	// the command's own words.
	log.SetOutput(io.Discard)
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

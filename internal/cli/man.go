package cli

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (a *app) manCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "man [command]",
		Short: "Print a manual page",
		Long: `Print the manual page of glasshouse, or of one of its commands, as roff.
With --dir, write the pages of all commands into a folder that is there.`,
		Example: `  glasshouse man run | man -l -
  glasshouse man --dir /usr/local/share/man/man1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			if dir != "" {
				if len(args) > 0 {
					return usageError(cmd, fmt.Errorf("--dir writes the pages of all commands: %q is too much", args[0]))
				}
				if info, err := os.Stat(dir); err != nil {
					return err
				} else if !info.IsDir() {
					return fmt.Errorf("%s is not a folder", dir)
				}
				return doc.GenManTree(root, manHeader(), dir)
			}
			page, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usageError(cmd, fmt.Errorf("unknown command %q", strings.Join(args, " ")))
			}
			var out bytes.Buffer
			if err := doc.GenMan(page, manHeader(), &out); err != nil {
				return err
			}
			return put(a.stdout, out.String())
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "write the pages of all commands into the folder `DIR`")
	return cmd
}

// manHeader dates the pages by the commit they were built from, so that the
// same source gives the same bytes on any day.
func manHeader() *doc.GenManHeader {
	date := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				date = t.UTC()
			}
		}
	}
	return &doc.GenManHeader{Section: "1", Source: "glasshouse", Manual: "glasshouse manual", Date: &date}
}

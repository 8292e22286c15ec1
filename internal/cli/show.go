package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"glasshouse/internal/show"
)

func (a *app) showCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:  "show [RECEIPT]",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "receipt.json"
			if len(args) > 0 {
				name = args[0]
			}
			rec, err := a.readReceipt(name)
			if err != nil {
				return err
			}
			return show.Write(a.stdout, rec, a.looks())
		},
	}
	return cmd
}

// looks is what stdout can show.
func (a *app) looks() show.Options {
	o := show.Options{Width: 80, Unicode: unicodeLocale(os.Getenv)}
	fd := int(a.stdout.Fd())
	if term.IsTerminal(fd) {
		o.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		if width, _, err := term.GetSize(fd); err == nil && width > 0 {
			o.Width = width
		}
	}
	return o
}

// unicodeLocale tells whether the locale's characters are encoded in UTF-8, by
// the variables of setlocale(3).
func unicodeLocale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := getenv(name); locale != "" {
			locale = strings.ToLower(locale)
			return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
		}
	}
	return false
}

var _ = errors.Is
var _ = fmt.Sprint
var _ io.Writer
var _ = syscall.EPIPE

package cli

import (
	"os"
	"testing"

	"github.com/creack/pty"

	"glasshouse/internal/show"
)

func TestLooks(t *testing.T) {
	_, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 57}); err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, tc := range []struct {
		name          string
		stdout        *os.File
		noColor, term string
		want          show.Options
	}{
		{"terminal", tty, "", "xterm", show.Options{Width: 57, Color: true, Unicode: true}},
		{"NO_COLOR", tty, "1", "xterm", show.Options{Width: 57, Unicode: true}},
		{"dumb", tty, "", "dumb", show.Options{Width: 57, Unicode: true}},
		{"file", file, "", "xterm", show.Options{Width: 80, Unicode: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("LC_ALL", "C.UTF-8")
			t.Setenv("NO_COLOR", tc.noColor)
			t.Setenv("TERM", tc.term)
			a := &app{stdout: tc.stdout}
			if got := a.looks(); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

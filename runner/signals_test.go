package runner

import (
	"os"
	"syscall"
	"testing"
)

func TestMustForward(t *testing.T) {
	none := terminal{}
	fg := terminal{present: true, foreground: true}
	bg := terminal{present: true}
	lead := terminal{present: true, foreground: true, leader: true}
	for _, tc := range []struct {
		name       string
		sig        os.Signal
		start, now terminal
		want       bool
	}{
		{"Ctrl-C reaches the group", syscall.SIGINT, fg, fg, false},
		{"Ctrl-\\ reaches the group", syscall.SIGQUIT, fg, fg, false},
		{"SIGINT to a background job is somebody's", syscall.SIGINT, fg, bg, true},
		{"SIGINT without a terminal", syscall.SIGINT, none, none, true},
		{"SIGTERM in the foreground", syscall.SIGTERM, fg, fg, true},
		{"SIGTERM without a terminal", syscall.SIGTERM, none, none, true},
		{"a hangup reaches the group", syscall.SIGHUP, fg, none, false},
		{"a hangup reaches a session's leader alone", syscall.SIGHUP, lead, terminal{leader: true}, true},
		{"SIGHUP while the terminal is there", syscall.SIGHUP, fg, fg, true},
		{"SIGHUP without a terminal", syscall.SIGHUP, none, none, true},
	} {
		if got := mustForward(tc.sig, tc.start, tc.now); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

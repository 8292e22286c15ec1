package plan

import "testing"

func TestEvents(t *testing.T) {
	for _, e := range []Event{
		{Kind: Begin, Suite: "truth"}, {Kind: End, Suite: "truth"}, {Kind: End, Suite: "truth", Detail: "exit status 1"},
		{Kind: Failed, Detail: "mount proc | on /proc"}, {Kind: Done, Detail: "6.1.0-1"},
	} {
		if got, ok := Parse("what was on the line" + e.String()); !ok || got != e {
			t.Errorf("got %+v %v, want %+v", got, ok, e)
		}
	}
	if got, ok := Parse(Event{Kind: Failed, Detail: "two\nlines"}.String()); !ok || got.Detail != "two lines" {
		t.Errorf("%+v", got)
	}
	for _, line := range []string{"", "done |", "@matrix", "@matrix done", "@matrix over |x"} {
		if got, ok := Parse(line); ok {
			t.Errorf("%q is %+v", line, got)
		}
	}
}

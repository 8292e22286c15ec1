package receipt

import (
	"slices"
	"testing"
)

// A gap that two recorders know of is told once.
func TestAddGap(t *testing.T) {
	var o Observation
	for _, g := range []Gap{
		{Kind: "shared_names", Detail: "unlink", Count: 3}, {Kind: "shared_names", Detail: "rename", Count: 1},
		{Kind: "shared_names", Detail: "unlink", Count: 3}, {Kind: "root", Detail: "unlink", Count: 2}, {Kind: "root", Detail: "unlink", Count: 4},
	} {
		o.AddGap(g)
	}
	want := []Gap{
		{Kind: "shared_names", Detail: "unlink", Count: 3}, {Kind: "shared_names", Detail: "rename", Count: 1}, {Kind: "root", Detail: "unlink", Count: 4},
	}
	if !slices.Equal(o.Gaps, want) {
		t.Errorf("got %+v, want %+v", o.Gaps, want)
	}
}

package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"glasshouse/guest"
	"glasshouse/receipt/receipttest"
)

func TestDutyOutcomes(t *testing.T) {
	want := []string{string(guest.Done), string(guest.Already), string(guest.Failed)}
	if diff := cmp.Diff(want, receipttest.Values(t, "execution.guest[].outcome")); diff != "" {
		t.Errorf("(-guest +schema):\n%s", diff)
	}
}

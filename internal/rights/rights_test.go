package rights

import (
	"strings"
	"testing"
)

func TestRemedy(t *testing.T) {
	for _, tc := range []struct {
		rights Linux
		want   string
	}{
		{Linux{}, "run as root,"},
		{Linux{Bounded: true}, "--cap-add BPF"},
		{Linux{UserNamespace: true}, "outside of the user namespace"},
		{Linux{UserNamespace: true, Bounded: true}, "outside of the user namespace"},
	} {
		if got := tc.rights.Remedy(); !strings.Contains(got, tc.want) {
			t.Errorf("%+v: %q, want %q", tc.rights, got, tc.want)
		}
	}
}

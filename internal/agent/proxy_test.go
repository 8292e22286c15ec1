package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWithProxy(t *testing.T) {
	const at = "http://127.0.0.1:3128"
	for name, c := range map[string]struct{ env, want []string }{
		"none set": {[]string{"A=1"}, []string{
			"A=1", "HTTP_PROXY=" + at, "http_proxy=" + at, "HTTPS_PROXY=" + at, "https_proxy=" + at, "ALL_PROXY=" + at, "all_proxy=" + at,
			"NO_PROXY=localhost,127.0.0.1,::1", "no_proxy=localhost,127.0.0.1,::1",
		}},
		"some set, one of them to nothing": {[]string{"https_proxy=", "No_Proxy=*", "ALL_PROXY=x"}, []string{
			"https_proxy=", "No_Proxy=*", "ALL_PROXY=x", "HTTP_PROXY=" + at, "http_proxy=" + at,
		}},
	} {
		if diff := cmp.Diff(c.want, withProxy(c.env)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

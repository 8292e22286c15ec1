package cli

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOTLPTarget(t *testing.T) {
	for _, tc := range []struct {
		name     string
		target   otlpTarget
		env      map[string]string
		endpoint string
		headers  http.Header
		err      string
	}{
		{name: "flag", target: otlpTarget{"http://a", []string{"k=v=w", "empty="}}, env: map[string]string{otlpEndpoint: "http://b"},
			endpoint: "http://a", headers: http.Header{"K": {"v=w"}, "Empty": {""}}},
		{name: "environment", env: map[string]string{otlpEndpoint: "http://b", otlpHeaders: " api-key = a%20b%2Cc+d ,, x=y"},
			endpoint: "http://b", headers: http.Header{"Api-Key": {"a b,c+d"}, "X": {"y"}}},
		{name: "both", target: otlpTarget{"", []string{"API-KEY=%20"}}, env: map[string]string{otlpEndpoint: "http://b", otlpHeaders: "api-key=a,x=y"},
			endpoint: "http://b", headers: http.Header{"Api-Key": {"%20"}, "X": {"y"}}},
		{name: "none", err: "no endpoint"},
		{name: "no value", target: otlpTarget{"http://a", []string{"secret"}}, err: "--header has to be K=V"},
		{name: "no name", target: otlpTarget{"http://a", []string{"=secret"}}, err: "--header has to be K=V"},
		{name: "no pair", target: otlpTarget{"http://a", nil}, env: map[string]string{otlpHeaders: "secret"}, err: otlpHeaders},
		{name: "bad encoding", target: otlpTarget{"http://a", nil}, env: map[string]string{otlpHeaders: "k=secret%zz"}, err: otlpHeaders},
	} {
		t.Run(tc.name, func(t *testing.T) {
			endpoint, headers, err := tc.target.fromEnvironment(func(name string) string { return tc.env[name] })
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), "secret") {
					t.Errorf("error %v, want %q and no secret", err, tc.err)
				}
				return
			}
			if err != nil || endpoint != tc.endpoint {
				t.Errorf("%q, %v", endpoint, err)
			}
			if diff := cmp.Diff(tc.headers, headers); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

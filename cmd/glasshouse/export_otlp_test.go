//go:build linux

package main_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The command sends to a receiver, with headers, and tells what arrived.
func TestExportOTLP(t *testing.T) {
	file := filepath.Join(t.TempDir(), "receipt.json")
	if err := os.WriteFile(file, []byte(`{"receipt_version": "v0.3", "process_tree": [{"pid": 7}, {"pid": 8, "ppid": 7}], "filesystem": {"deletes": ["/x"]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var (
		mu     sync.Mutex
		paths  []string
		status = http.StatusOK
	)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		paths = append(paths, r.URL.Path)
		if r.Header.Get("Api-Key") != "a b" || r.Header.Get("X") != "y" {
			t.Errorf("headers %v", r.Header)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()

	for _, tc := range []struct {
		name      string
		endpoint  string
		args      []string
		status    int
		code      int
		paths     []string
		wantError string
	}{
		{"flag", "http://127.0.0.1:1", []string{"--endpoint", server.URL + "/in"}, 200, 0, []string{"/in/v1/traces", "/in/v1/logs"}, "glasshouse: sent 3 spans and 1 log record\n"},
		{"environment", server.URL, nil, 200, 0, []string{"/v1/traces", "/v1/logs"}, "glasshouse: sent 3 spans and 1 log record\n"},
		{"refused", server.URL, nil, 403, 1, []string{"/v1/traces"}, "glasshouse: send spans: the receiver answered 403 Forbidden\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mu.Lock()
			paths, status = nil, tc.status
			mu.Unlock()
			var stdout, stderr strings.Builder
			cmd := exec.Command(binary, append([]string{"export", file, "--to", "otlp", "--header", "x=y"}, tc.args...)...)
			cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+tc.endpoint, "OTEL_EXPORTER_OTLP_HEADERS=api-key=a%20b")
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run() // the exit code tells
			if got := cmd.ProcessState.ExitCode(); got != tc.code || stdout.Len() != 0 || stderr.String() != tc.wantError {
				t.Errorf("exit code %d, stdout %q, stderr %q", got, stdout.String(), stderr.String())
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(paths, tc.paths) {
				t.Errorf("requests to %v, want %v", paths, tc.paths)
			}
		})
	}
}

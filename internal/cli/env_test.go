package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadSettings(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  map[string]string
		wsl  bool
		want settings
		err  string // a part of it
	}{
		{"nothing", nil, false, settings{captureArgv: true}, ""},
		{"nothing, under WSL", nil, true, settings{}, ""},
		{"on", map[string]string{"GLASSHOUSE_CAPTURE_ARGV": "1"}, false, settings{captureArgv: true}, ""},
		{"on, under WSL", map[string]string{"GLASSHOUSE_CAPTURE_ARGV": "1"}, true, settings{}, ""},
		{"off", map[string]string{"GLASSHOUSE_CAPTURE_ARGV": "0"}, false, settings{}, ""},
		{"force", map[string]string{"GLASSHOUSE_CAPTURE_ARGV": "force"}, true, settings{captureArgv: true}, ""},
		{"old force", map[string]string{"GLASSHOUSE_CAPTURE_ARGV_FORCE": "1"}, true, settings{captureArgv: true}, ""},
		{"the newer name wins", map[string]string{"GLASSHOUSE_CAPTURE_ARGV": "0", "GLASSHOUSE_CAPTURE_ARGV_FORCE": "1"}, false, settings{}, ""},
		{"the newer name wins with on, too", map[string]string{"GLASSHOUSE_CAPTURE_ARGV": "1", "GLASSHOUSE_CAPTURE_ARGV_FORCE": "1"}, true, settings{}, ""},
		{"bad", map[string]string{"GLASSHOUSE_CAPTURE_ARGV": "yes"}, false, settings{}, `GLASSHOUSE_CAPTURE_ARGV is "yes"`},
		{"bad old force", map[string]string{"GLASSHOUSE_CAPTURE_ARGV_FORCE": "on"}, false, settings{}, "GLASSHOUSE_CAPTURE_ARGV_FORCE"},
		{"objects", map[string]string{"GLASSHOUSE_BPF_DIR": "/x"}, false, settings{captureArgv: true, objectDir: "/x"}, ""},
		{"debug", map[string]string{"GLASSHOUSE_DEBUG_EVENTS": "1", "GLASSHOUSE_DEBUG_TRACKING": "1", "GLASSHOUSE_DEBUG_COUNTS": "0"}, false,
			settings{captureArgv: true, debugEvents: true, debugTracking: true}, ""},
		{"bad debug", map[string]string{"GLASSHOUSE_DEBUG_COUNTS": "2"}, false, settings{}, "GLASSHOUSE_DEBUG_COUNTS"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := readSettings(func(name string) string { return tc.env[name] }, func() bool { return tc.wsl })
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(settings{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

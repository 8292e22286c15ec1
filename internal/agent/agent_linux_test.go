package agent

import (
	"bytes"
	"strings"
	"testing"

	"glasshouse/backend/microvm/channel"
)

// Names of what was deleted can be more than a message holds: all else is told.
func TestTellBounds(t *testing.T) {
	var sent bytes.Buffer
	host := channel.NewMessages(&sent)
	result := &channel.Result{Records: 7, Deleted: [][]byte{bytes.Repeat([]byte("x"), 50<<20)}}
	if err := tell(host, &channel.ToHost{Result: result}); err != nil {
		t.Fatal(err)
	}
	var got channel.ToHost
	if err := host.Receive(&got); err != nil {
		t.Fatal(err)
	}
	if r := got.Result; r.Records != 7 || len(r.Deleted) > 0 || !strings.Contains(r.WorkspaceError, "too many") {
		t.Errorf("%+v", r)
	}
}

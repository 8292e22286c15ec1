package insight

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"glasshouse/receipt"
)

func TestFate(t *testing.T) {
	for _, tc := range []struct {
		want string
		w    receipt.Workspace
	}{
		{"unchanged", receipt.Workspace{}},
		{"2 added, 1 changed, 1 deleted; applied", receipt.Workspace{Added: []string{"a", "b"}, Changed: []string{"c"}, Deleted: []string{"d"}, Applied: true}},
		{"1 deleted; not applied, kept in /r.workspace.tar", receipt.Workspace{Deleted: []string{"d"}, Kept: ptr("/r.workspace.tar")}},
		{"1 added, 1 refused; applied", receipt.Workspace{Added: []string{"a"}, Applied: true, Refused: []receipt.RefusedPath{{Path: "l", Reason: "r"}}}},
		{"unchanged, 1 refused", receipt.Workspace{Refused: []receipt.RefusedPath{{Path: "l", Reason: "r"}}}},
		{"the command was not started", receipt.Workspace{Error: ptr("the command was not started")}},
		{"1 added; not applied, kept in /k; disk full", receipt.Workspace{Added: []string{"a"}, Kept: ptr("/k"), Error: ptr("disk full")}},
		{"1 added; not applied; disk full", receipt.Workspace{Added: []string{"a"}, Error: ptr("disk full")}},
	} {
		if got := Fate(&tc.w); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

// What a proxy did not pass on is put together by the reason.
func TestRefusals(t *testing.T) {
	r := &receipt.Receipt{}
	if got := Refusals(r); len(got) != 0 {
		t.Error(got)
	}
	request := func(host string, port int, result, reason string) receipt.ProxyRequest {
		q := receipt.ProxyRequest{Host: host, Port: port, Result: result}
		if reason != "" {
			q.Reason = &reason
		}
		return q
	}
	r.Execution.VM = &receipt.VM{}
	if got := Refusals(r); len(got) != 0 {
		t.Error(got)
	}
	r.Execution.VM.Proxy = &receipt.Proxy{Requests: []receipt.ProxyRequest{
		request("b.example", 80, "denied", "no rule"),
		request("a.example", 443, "connected", ""),
		request("2001:db8::1", 443, "denied", "no rule"),
		request("d.example", 80, "failed", "no rule"),
		request("b.example", 80, "denied", "no rule"),
		request("a.example", 80, "denied", "no rule"),
		request("127.1", 0, "denied", "no host"),
	}}
	if diff := cmp.Diff([]Refusal{
		{"denied", "no rule", []string{"[2001:db8::1]:443", "a.example:80", "b.example:80"}},
		{"failed", "no rule", []string{"d.example:80"}},
		{"denied", "no host", []string{"127.1"}},
	}, Refusals(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

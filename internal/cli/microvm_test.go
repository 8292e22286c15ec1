package cli

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glasshouse/backend/microvm/image"
	"glasshouse/backend/microvm/proxy"
	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
	"glasshouse/redact"
)

// An image that another glasshouse was built into is told of, in a line with the
// remedy.
func TestOtherBuild(t *testing.T) {
	m := &image.Image{Dir: "/i", Manifest: image.Manifest{GlasshouseVersion: version(), GlasshouseBuild: "a/b"}}
	for build, want := range map[string]string{
		"a/b": "", "a/c": "glasshouse: another build of glasshouse than this one records in image /i; hint: glasshouse image build makes it anew\n",
	} {
		if said := otherBuild(m, build); said != want {
			t.Errorf("%s: %q", build, said)
		}
	}
}

// What the proxy tells gets into a receipt that is sound, marked as what it is,
// and without the secrets of the command line.
func TestTellProxy(t *testing.T) {
	const secret = "correct-horse-battery"
	at := time.Unix(1e9, 0)
	report := &proxy.Report{
		Allow: []string{"example.org"},
		Requests: []proxy.Request{
			{At: at, Kind: "connect", Host: "example.org", Port: 443, Address: netip.MustParseAddrPort("[2600::1]:443"), Result: "connected", Sent: 1, Received: 2, Took: 3 * time.Second},
			{At: at, Kind: "http", Host: secret + ".example", Port: 80, Result: "denied", Reason: "no --net-allow names it"},
		},
		Omitted: 7,
		Attempts: []proxy.Attempt{
			{Dst: secret + ".example:80", Host: secret + ".example", Result: "denied", Count: 3},
			{Dst: "[2600::1]:443", Host: "example.org", Result: "connected", Count: 1},
			{Dst: "192.0.2.1:443", Result: "refused", Count: 2},
		},
		Untold: 9,
	}
	rec := receipttest.New()
	rec.Command.Argv = []string{"curl", "--password=" + secret}
	rec.Execution.VM = &receipt.VM{Accelerator: "kvm"}
	rec.Network.Attempts, rec.Network.Connections = nil, nil
	gaps := len(rec.Observation.Gaps)
	tellProxy(rec, report)
	redactor, err := redact.New(redact.Options{})
	if err != nil {
		t.Fatal(err)
	}
	redactor.Receipt(rec)
	rec.Normalize()
	receipttest.Validate(t, rec)

	if diff := cmp.Diff([]receipt.Attempt{
		{Dst: "192.0.2.1:443", Protocol: "tcp", Result: "refused", Policy: "allowed", Count: 2, Source: "proxy"},
		{Dst: "[2600::1]:443", Protocol: "tcp", Result: "connected", Policy: "allowed", Count: 1, Host: ptr("example.org"), Source: "proxy"},
		{Dst: "[redacted:1].example:80", Protocol: "tcp", Result: "denied", Policy: "denied", Count: 3, Host: ptr("[redacted:1].example"), Source: "proxy"},
	}, rec.Network.Attempts); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&receipt.Proxy{
		Allow: []string{"example.org"},
		Requests: []receipt.ProxyRequest{
			{At: receipt.At(at), Kind: "connect", Host: "example.org", Port: 443, Address: ptr("[2600::1]:443"), Result: "connected", BytesSent: 1, BytesReceived: 2, DurationMS: 3000},
			{At: receipt.At(at), Kind: "http", Host: "[redacted:1].example", Port: 80, Result: "denied", Reason: ptr("no --net-allow names it")},
		},
		Omitted: 7,
	}, rec.Execution.VM.Proxy); diff != "" {
		t.Errorf("proxy (-want +got):\n%s", diff)
	}
	var counts []uint64
	for _, g := range rec.Observation.Gaps {
		if g.Kind == receipt.GapProxy {
			counts = append(counts, g.Count)
		}
	}
	if slices.Sort(counts); !slices.Equal(counts, []uint64{7, 9}) || len(rec.Observation.Gaps) != gaps+2 {
		t.Errorf("%+v", rec.Observation.Gaps)
	}
	if slices.ContainsFunc(rec.Redactions, func(r receipt.Redaction) bool {
		return !slices.ContainsFunc(r.Places, func(p string) bool { return strings.HasPrefix(p, "/execution/vm/proxy/requests/") })
	}) {
		t.Errorf("%+v", rec.Redactions)
	}
}

package audit

import (
	"slices"
	"testing"

	"glasshouse/receipt"
	"glasshouse/receipt/receipttest"
)

// What the schema says that a receipt can hold is what is put into it.
func TestSchemaValues(t *testing.T) {
	kinds := []string{"hardlink"}
	for _, k := range []FileKind{KindFile, KindDir, KindSymlink, KindFIFO, KindSocket, KindDevice} {
		kinds = append(kinds, string(k))
	}
	for path, want := range map[string][]string{
		"network.attempts[].result": {
			ResultConnected, ResultRefused, ResultTimeout, ResultUnreachable, ResultReset,
			ResultInProgress, ResultSent, ResultDenied, ResultFailed,
		},
		"filesystem.files[].source": {receipt.SourceKernel, receipt.SourceLexical},
		"filesystem.created[].kind": kinds,
		"filesystem.changed[].what": changeable[:],
	} {
		got := receipttest.Values(t, path)
		slices.Sort(got)
		slices.Sort(want)
		check(t, path, got, want)
	}
}

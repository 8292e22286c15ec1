package journal

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// docs/JOURNAL.md has a row for each kind, and the sizes of the code.
func TestDocument(t *testing.T) {
	data, err := os.ReadFile("../docs/JOURNAL.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for k := Kind(1); k <= 20; k++ {
		form := "JSON"
		if k == KindRecords {
			form = "records"
		}
		v, err := decode(k, []byte("{}"))
		known := v != nil || err != nil
		if documented := strings.Contains(text, fmt.Sprintf("\n| %d | %s | ", k, form)); documented != known {
			t.Errorf("kind %d: known %v, documented %v", k, known, documented)
		}
	}
	for _, want := range []string{
		fmt.Sprintf("| %d | `%s` |", len(magic), magic),
		fmt.Sprintf("| 4 | the version, %d;", Version),
		fmt.Sprintf("at most %d MiB, %d MiB for kind %d |", maxPayload>>20, maxOpen>>20, KindOpen),
		fmt.Sprintf("| %d | chain: SHA-256 over the chain of the frame before, the %d bytes above", chainSize, headerSize),
		fmt.Sprintf("A journal that reaches %d GiB", DefaultLimit>>30),
		fmt.Sprintf("%d ms in\nthe recorder's own buffer", batchPause.Milliseconds()),
	} {
		if !strings.Contains(text, want) && !strings.Contains(strings.ReplaceAll(text, "\n  ", " "), strings.ReplaceAll(want, "\n", " ")) {
			t.Errorf("the document does not say %q", want)
		}
	}
}

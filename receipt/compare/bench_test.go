package compare

import (
	"fmt"
	"testing"

	"glasshouse/receipt"
)

// BenchmarkCompare compares two runs with 100,000 files each, in a made-up
// folder.
func BenchmarkCompare(b *testing.B) {
	big := func(folder string) *receipt.Receipt {
		rec := made("-" + folder)
		for i := range 100000 {
			p := fmt.Sprintf("%s/d%02d/file-%d", folder, i%100, i)
			rec.Filesystem.Created = append(rec.Filesystem.Created, receipt.Created{Path: p, Kind: "file"})
			rec.Filesystem.Writes = append(rec.Filesystem.Writes, p)
			rec.Filesystem.Files = append(rec.Filesystem.Files, receipt.FileEntry{Path: p, Written: true})
		}
		return rec
	}
	x, y := big("/tmp/tmp.Ab12Cd34Ef"), big("/tmp/tmp.Xy98Zw76Uv")
	b.ReportAllocs()
	for b.Loop() {
		if got := differ(x, y); len(got) > 0 {
			b.Fatalf("%d differences", len(got))
		}
	}
}

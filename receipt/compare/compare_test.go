package compare

import (
	"fmt"
	"strings"
	"time"

	"glasshouse/receipt"
)

// bare is the receipt of a run that did nothing and was wholly seen.
func bare() *receipt.Receipt {
	start := receipt.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	rec := &receipt.Receipt{ReceiptVersion: receipt.Version}
	rec.Timing = receipt.Timing{StartedAt: start, EndedAt: receipt.At(start.Add(2 * time.Second))}
	rec.Observation.Mode, rec.Observation.Complete = "ebpf", true
	return rec
}

// differ lists what b did and a did not, a line each.
func differ(a, b *receipt.Receipt) []string {
	c := New("b", b)
	c.Baseline("a", a)
	return lines(c.Result().Differences)
}

func lines(facts []Fact) []string {
	var list []string
	for _, f := range facts {
		list = append(list, fmt.Sprintf("%s %s|%s|%s|%s", f.Class, f.Name, strings.Join(f.Argv, " "), f.Other, f.Detail))
	}
	return list
}

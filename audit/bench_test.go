package audit

import (
	"fmt"
	"io"
	"strconv"
	"testing"

	"glasshouse/receipt"
)

// again has each event take the place of one that came before: the collector
// can repeat so many at a time.
func again(i int) WireAgain {
	const places = 4096
	if i < places {
		return WireAgain{}
	}
	return WireAgain{ID: uint64(i - places + 1)} // see repeatID
}

// opens are the records of a run that opens n files of one folder, some of
// them again and again.
func opens(n, files int) [][]byte {
	records := make([][]byte, n)
	for i := range records {
		name := strconv.Itoa(i % files)
		records[i] = record(
			WireHead{Seq: uint64(i), Time: uint64(1000 + i), Start: 3, PID: 42, TID: 42, Type: RecordOpen, Again: again(i)},
			WireFile{Ino: uint64(i), FMode: fmodeRead, IMode: 0o100644},
			name+"\x00src\x00project\x00user\x00home\x00", name,
		)
	}
	return records
}

// failures are those of one that looks for n files that are not there.
func failures(n int) [][]byte {
	records := make([][]byte, n)
	for i := range records {
		records[i] = record(
			WireHead{Seq: uint64(i), Time: uint64(1000 + i), Start: 3, PID: 42, TID: 42, Type: RecordFileOp, Op: uint8(OpOpen), Err: -2, Again: again(i)},
			nil, "src\x00project\x00user\x00home\x00", strconv.Itoa(i),
		)
	}
	return records
}

func add(b testing.TB, records [][]byte) *Aggregator {
	d, a := NewDecoder(4096), NewAggregator()
	for _, r := range records {
		if err := d.Decode(r, a.Add); err != nil {
			b.Fatal(err)
		}
	}
	return a
}

// What an event costs while the run goes on.
func BenchmarkEvents(b *testing.B) {
	for name, records := range map[string][][]byte{
		"files":    opens(100_000, 100_000),
		"same":     opens(100_000, 100),
		"failures": failures(100_000),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				add(b, records)
			}
			events := float64(len(records) * b.N)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/events, "ns/event")
		})
	}
}

// What comes behind the end of a run, for each file.
func BenchmarkReceipt(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := add(b, opens(n, n))
			b.ReportAllocs()
			for b.Loop() {
				r := &receipt.Receipt{}
				a.Fill(r, Summary{Mode: "ebpf"}, boot)
				if err := receipt.Encode(io.Discard, r); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/file")
		})
	}
}

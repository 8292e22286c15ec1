// Package insight works out of a receipt what a person wants to know of it: how
// it ended and how well it was seen (VerdictOf), who started whom (Processes),
// what happened in which folder (Folders), who was talked to (NetworkOf), and
// what is unusual (Findings). Of is all of that.
//
// Results are plain data and refer to the receipt's strings as they stand: text
// that a terminal or a page is to show has to be made safe by who shows it. A
// receipt need not be normalised, may be of any version that receipt.Read
// takes, and may be hostile: everything takes time and memory in proportion to
// the receipt, but for a logarithm, and nothing recurses.
//
// What a receipt does not say is not claimed. A path is as the receipt has it,
// and one that a process named with ".." behind a name is inside of no folder.
package insight

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"glasshouse/receipt"
)

// Insight is all that the package works out of a receipt.
type Insight struct {
	Verdict   Verdict
	Findings  []Finding
	Processes Tree
	Folders   []Folder
	Network   Network
}

// Of works all of it out, in less time than one by one.
func Of(r *receipt.Receipt) Insight {
	work := r.Command.WorkingDir
	files := filesOf(r)
	in := Insight{Verdict: VerdictOf(r), Processes: Processes(r), Folders: foldersOf(files, work), Network: NetworkOf(r)}
	files = slices.DeleteFunc(files, func(f File) bool { return !strings.HasPrefix(f.Path, "/") })
	in.Findings = findingsOf(&facts{Receipt: r, work: work, paths: files, tree: in.Processes, net: in.Network})
	return in
}

// plus adds counts and stays at the greatest when there is no greater.
func plus(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// number is 1234567 as "1,234,567".
func number[T int | int64 | uint64](n T) string {
	digits := strconv.FormatUint(uint64(max(n, 0)), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// count is "1 file" or "2 files".
func count[T int | int64 | uint64](n T, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

func pidText(pid int32) string { return strconv.Itoa(int(pid)) }

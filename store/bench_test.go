package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glasshouse/receipt"
)

// How the paths of generated receipts recur.
const (
	shared   = "shared"   // as of builds: most in every run, some in some, a tenth in one alone
	distinct = "distinct" // each in one run alone, names included
)

const filesEach = 300

// generated is receipt n of many.
func generated(kind string, n int, r *rand.Rand) *receipt.Receipt {
	return made(n, func(rec *receipt.Receipt) {
		for i := range filesEach {
			var path string
			switch {
			case kind == shared && i < 180:
				path = fmt.Sprintf("/usr/lib/x86_64-linux-gnu/lib%04d.so.6", (i*7+r.IntN(20)*100)%2000)
			case kind == shared && i < 270:
				k := r.IntN(20000)
				path = fmt.Sprintf("/home/user/src/project%02d/internal/pkg%03d/file%05d.go", k%20, k%400, k)
			default:
				path = fmt.Sprintf("/tmp/build-%08x/b%03d/out-%08x.o", uint32(n)*2654435761, i%10, r.Uint32())
			}
			rec.Filesystem.Files = append(rec.Filesystem.Files, receipt.FileEntry{
				Path: path, Opens: 1, Read: true, BytesRead: 100, Source: receipt.SourceKernel,
			})
			if i%2 == 0 {
				rec.Filesystem.Reads = append(rec.Filesystem.Reads, path)
			} else {
				rec.Filesystem.Writes = append(rec.Filesystem.Writes, path)
			}
		}
		if n%1000 == 777 {
			rec.Filesystem.Reads = append(rec.Filesystem.Reads, fmt.Sprintf("/home/user/deep/%d/secret.txt", n))
		}
		for i := range 5 {
			rec.ProcessTree = append(rec.ProcessTree, receipt.Process{PID: int32(i), Exe: "/usr/bin/make", Argv: []string{"make", "all"}})
		}
		host := fmt.Sprintf("host%d.example", n%100)
		rec.Network.Attempts = []receipt.Attempt{{Dst: fmt.Sprintf("192.0.2.%d:443", n%250), Protocol: "tcp", Result: "connected", Host: &host}}
	})
}

func generate(t testing.TB, s *Store, kind string, receipts int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for n := range receipts {
		add(t, s, id(n), generated(kind, n, r))
	}
}

// BenchmarkFind searches 10,000 receipts of 300 files each, which
// GLASSHOUSE_BENCH_STATE keeps for the next time.
func BenchmarkFind(b *testing.B) {
	for _, kind := range []string{shared, distinct} {
		dir := os.Getenv("GLASSHOUSE_BENCH_STATE")
		if dir == "" {
			dir = b.TempDir()
		}
		s := New(filepath.Join(dir, kind))
		if files, err := s.list(); err != nil {
			b.Fatal(err)
		} else if len(files) == 0 {
			generate(b, s, kind, 10_000)
		}
		b.Run(kind+" index", func(b *testing.B) {
			for range b.N {
				if err := os.RemoveAll(filepath.Dir(s.indexPath())); err != nil {
					b.Fatal(err)
				}
				query(b, s, Query{Limit: 1})
			}
		})
		for _, pattern := range []string{"/home/user/deep/777/secret.txt", "/usr/lib/**", "/tmp/build-9e3779b1/**", "secret.txt", "*fff.o", "/home/**/*0777*", "*.o", "**"} {
			b.Run(kind+" "+strings.ReplaceAll(pattern, "/", "|"), func(b *testing.B) {
				g, err := ParseGlob(pattern)
				if err != nil {
					b.Fatal(err)
				}
				var n int
				for range b.N {
					found, err := s.Find(context.Background(), Query{Path: &g})
					if err != nil {
						b.Fatal(err)
					}
					n = len(found.Entries)
				}
				b.ReportMetric(float64(n), "found")
			})
		}
	}
}

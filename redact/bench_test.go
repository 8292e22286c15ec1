package redact_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"glasshouse/receipt"
	"glasshouse/redact"
)

// big are receipts that would take long if the work grew faster than they do.
func big() map[string]func() *receipt.Receipt {
	process := func(i int, argv ...string) receipt.Process {
		return receipt.Process{PID: int32(i), StartTime: uint64(i), Argv: argv, Execs: []receipt.Exec{{Exe: "/usr/bin/x", Argv: slices.Clone(argv)}}}
	}
	fill := func(bytes int, arg string) func() *receipt.Receipt {
		const max = 128 << 10 // as the kernel has it
		arg = strings.Repeat(arg, max/len(arg))
		return func() *receipt.Receipt {
			rec := &receipt.Receipt{}
			for i := 0; i < bytes; i += 16 * len(arg) {
				argv := make([]string, min(16, (bytes-i+len(arg)-1)/len(arg)))
				for k := range argv {
					argv[k] = arg[(i/len(arg)+k)%64:]
				}
				rec.ProcessTree = append(rec.ProcessTree, process(i, argv...))
			}
			return rec
		}
	}
	cases := map[string]func() *receipt.Receipt{
		"processes": func() *receipt.Receipt {
			rec := &receipt.Receipt{}
			for i := range 5000 {
				rec.ProcessTree = append(rec.ProcessTree, process(i, "sh", "-c", "curl -H 'Authorization: Bearer abcdef0123456789' -o out https://example.org/"+fmt.Sprint(i)))
			}
			return rec
		},
		"clean-processes": func() *receipt.Receipt {
			rec := &receipt.Receipt{}
			for i := range 5000 {
				rec.ProcessTree = append(rec.ProcessTree, process(i, "sh", "-c", "gcc -O2 -Wall -Iinclude -c src/file"+fmt.Sprint(i)+".c -o build/x.o && echo done"))
			}
			return rec
		},
		"clean-files": func() *receipt.Receipt {
			rec := &receipt.Receipt{Command: receipt.Command{Argv: []string{"tar", "xf", "x"}}}
			for i := range 200_000 {
				path := "/home/someone/src/project/node_modules/package/file" + fmt.Sprint(i)
				rec.Filesystem.Writes = append(rec.Filesystem.Writes, path)
				rec.Filesystem.Files = append(rec.Filesystem.Files, receipt.FileEntry{Path: path, Source: receipt.SourceKernel})
			}
			return rec
		},
		"2MB-text":    fill(2<<20, "the quick brown fox jumps over the lazy dog, and so on; "),
		"64MB-text":   fill(64<<20, "the quick brown fox jumps over the lazy dog, and so on; "),
		"64MB-base64": fill(64<<20, "bmV2ZXIgZ29ubmEgZ2l2ZSB5b3UgdXAsIG5ldmVyIGdvbm5hIGxldCB5b3UgZG93"),
	}
	for i, arg := range hostile {
		cases[fmt.Sprintf("8MB-hostile-%d", i)] = fill(8<<20, arg)
	}
	return cases
}

// hostile are repeated to provoke the rules.
var hostile = []string{
	"token=", "a_key=", "x://y:z@", "://", "Authorization: ", `"token":`, "'", `"`, `\"`, "--password ", "ghp_", "github_pat_", "eyJ.", "eyJa",
	"-----BEGIN PRIVATE KEY", "-----END ", "--token=[redacted:1]", "=x-api-key:", "sh -c 'a ", "mysql -p", "[redacted:12]", "&token=x", ";", "-", " -u a:b curl",
	"TOKEN='", `TOKEN="\`, "\xff--password=\\",
}

func BenchmarkReceipt(b *testing.B) {
	for name, make := range big() {
		b.Run(name, func(b *testing.B) {
			r, _ := redact.New(redact.Options{})
			for b.Loop() {
				b.StopTimer()
				rec := make()
				rec.Normalize()
				b.StartTimer()
				r.Receipt(rec)
			}
		})
	}
}

package compare

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"glasshouse/receipt"
)

// made is a receipt of a run that made files of these names; what begins with
// a dash was deleted again.
func made(names ...string) *receipt.Receipt {
	rec := bare()
	for _, name := range names {
		gone := name[0] == '-'
		if gone {
			name = name[1:]
		}
		rec.Filesystem.Created = append(rec.Filesystem.Created, receipt.Created{Path: name, Kind: "file"})
		rec.Filesystem.Writes = append(rec.Filesystem.Writes, name)
		if gone {
			rec.Filesystem.Deletes = append(rec.Filesystem.Deletes, name)
		}
	}
	return rec
}

func TestNames(t *testing.T) {
	for _, tc := range []struct {
		name string
		a, b []string
		same bool
	}{
		// Names that somebody chose.
		{"words in /tmp", []string{"-/tmp/evil"}, []string{"-/tmp/good"}, false},
		{"words that stay", []string{"/tmp/evil"}, []string{"/tmp/good"}, false},
		{"eight letters", []string{"-/tmp/evilcode"}, []string{"-/tmp/goodname"}, false},
		{"a number at the end", []string{"-/tmp/stage1"}, []string{"-/tmp/stage2"}, false},
		{"another number", []string{"/tmp/payload1"}, []string{"/tmp/loader22"}, false},
		{"versions", []string{"/tmp/out-v1beta2"}, []string{"/tmp/out-v2gamma"}, false},
		{"another prefix", []string{"-/tmp/a.Ab12Cd34Ef"}, []string{"-/tmp/b.Xy98Zw76Uv"}, false},
		{"another suffix", []string{"-/tmp/ccAb1xYz.s"}, []string{"-/tmp/ccQw8rTy.o"}, false},
		{"another folder", []string{"-/tmp/tmp.Ab12Cd34Ef"}, []string{"-/var/tmp/tmp.Xy98Zw76Uv"}, false},
		{"another length", []string{"-/tmp/tmp.Ab12Cd34Ef"}, []string{"-/tmp/tmp.Xy98Zw"}, false},
		{"a word beside a random name", []string{"-/tmp/mo_e_gpe"}, []string{"-/tmp/ab3de_gh", "-/tmp/evilfile"}, false},
		{"a word that stays beside a random name", []string{"-/tmp/mo_e_gpe"}, []string{"-/tmp/ab3de_gh", "/tmp/evilfile"}, false},
		{"a word for a random name", []string{"-/tmp/mo_e_gpe"}, []string{"/tmp/evilfile"}, false},
		{"random, but there to stay and not in /tmp", []string{"/work/x-Ab12Cd34Ef"}, []string{"/work/x-Xy98Zw76Uv"}, false},
		{"content addressed", []string{"/c/0ea7c96e12c0f0d0e6c74c306c879489a00108d6"}, []string{"/c/1cd7ebaa91e4c69bd91f4da56a0e51d49d751510"}, false},
		{"a number of nobody", []string{"/work/run.4711"}, []string{"/work/run.4712"}, false},
		{"a date of another day in /tmp", []string{"/tmp/log-20250101"}, []string{"/tmp/log-20250102"}, false},
		{"a date of another day", []string{"/work/log-20250101"}, []string{"/work/log-20250102"}, false},
		{"in a random folder", []string{"-/tmp/tmp.Ab12Cd34Ef", "-/tmp/tmp.Ab12Cd34Ef/x"}, []string{"-/tmp/tmp.Xy98Zw76Uv", "-/tmp/tmp.Xy98Zw76Uv/y"}, false},
		{"a short number behind 0x", []string{"-/tmp/y-0x123"}, []string{"-/tmp/y-0x567"}, false},
		{"an address that stays", []string{"/work/x0x0000564da59d3410"}, []string{"/work/x0x0000561234bc3410"}, false},
		{"only one side made one", []string{}, []string{"-/tmp/tmp.Xy98Zw76Uv"}, false},

		// Names that a library made up.
		{"mktemp", []string{"/tmp/tmp.Ab12Cd34Ef"}, []string{"/tmp/tmp.Xy98Zw76Uv"}, true},
		{"mkstemp", []string{"-/tmp/foo-Ab12xY"}, []string{"-/tmp/foo-Qz98wV"}, true},
		{"Python", []string{"-/tmp/sneaky-tb9c_poq"}, []string{"-/tmp/sneaky-3wkh31wn"}, true},
		{"Python without a prefix", []string{"-/tmp/mo_e_gpe"}, []string{"-/tmp/ab3de_gh"}, true},
		{"Go", []string{"-/tmp/go-build2716881315"}, []string{"-/tmp/go-build898981277"}, true},
		{"the compiler", []string{"-/tmp/ccAb1xYz.s", "-/tmp/cc935RuL.cdtor.c"}, []string{"-/tmp/ccQw8rTy.s", "-/tmp/ccZyX123.cdtor.c"}, true},
		{"sed -i elsewhere", []string{"-/work/sedfbXU5u"}, []string{"-/work/sedQ1w2Er"}, true},
		{"a UUID", []string{"/work/3f2504e0-4f89-11d3-9a0c-0305e82c3301.log"}, []string{"/work/9b2c7c1e-0d4a-4f8e-8a57-1c2d3e4f5a6b.log"}, true},
		{"folders in each other", []string{"-/tmp/a-Ab12xY", "-/tmp/a-Ab12xY/b-1234567890", "-/tmp/a-Ab12xY/b-1234567890/c"},
			[]string{"-/tmp/a-Qz98wV", "-/tmp/a-Qz98wV/b-987654321", "-/tmp/a-Qz98wV/b-987654321/c"}, true},
		{"more of them", []string{"-/tmp/tmp.Ab12Cd34Ef"}, []string{"-/tmp/tmp.Xy98Zw76Uv", "-/tmp/tmp.1y98ZwM6Uv"}, true},
		{"process numbers", []string{"/work/run.1000", "/work/run.1000.lock"}, []string{"/work/run.2000", "/work/run.2000.lock"}, true},
		{"an address in memory and a process number", []string{"-/work/.#lk0x0000564da59d3410.host.1000x", "-/work/.#lk0x0000564da59d3a60.host.1000x"},
			[]string{"-/work/.#lk0x0000561234bc3410.host.2000x", "-/work/.#lk0x0000561234bc3a60.host.2000x"}, true},
		{"seconds", []string{"/work/log-1767323045"}, []string{"/work/log-1767323046"}, true},
		{"milliseconds", []string{"/work/log-1767323045123.txt"}, []string{"/work/log-1767323046321.txt"}, true},
		{"a date and a time", []string{"/work/2026-01-02T03:04:05.log"}, []string{"/work/2026-01-02T03:04:07.log"}, true},
		{"a date and a time without marks", []string{"/work/x20260102_030405"}, []string{"/work/x20260102_030407"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := made(tc.a...), made(tc.b...)
			a.ProcessTree = []receipt.Process{{PID: 1000, Exe: "/bin/x"}}
			b.ProcessTree = []receipt.Process{{PID: 2000, Exe: "/bin/x"}}
			if got := differ(a, b); (len(got) == 0) != tc.same {
				t.Errorf("B did besides: %v", got)
			}
			if got := differ(b, a); (len(got) == 0) != tc.same && len(tc.a) > 0 && len(tc.b) == len(tc.a) {
				t.Errorf("A did besides: %v", got)
			}
		})
	}
}

// makers make up names as well-known programs do.
var makers = []struct {
	name string
	make func(r *rand.Rand) string
}{
	{"mktemp", func(r *rand.Rand) string { return "tmp." + draw(r, alnum, 10) }},
	{"mkstemp", func(r *rand.Rand) string { return "x-" + draw(r, alnum, 6) }},
	{"cc", func(r *rand.Rand) string { return "cc" + draw(r, alnum, 6) + ".s" }},
	{"tempfile", func(r *rand.Rand) string { return "tmp" + draw(r, alnum[26:]+"_", 8) }},
	{"tempfile with a prefix", func(r *rand.Rand) string { return "x-" + draw(r, alnum[26:]+"_", 8) + ".txt" }},
	{"tempfile without", func(r *rand.Rand) string { return draw(r, alnum[26:]+"_", 8) }},
	{"os.MkdirTemp", func(r *rand.Rand) string { return fmt.Sprint("go-build", r.Uint32()) }},
	{"hexadecimal", func(r *rand.Rand) string { return draw(r, "0123456789abcdef", 32) }},
}

const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func draw(r *rand.Rand, from string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = from[r.IntN(len(from))]
	}
	return string(b)
}

// A made-up name that by chance looks like a word is a false difference. How
// often that may be is stated in docs/DIFF.md.
func TestMakers(t *testing.T) {
	const rounds = 3000
	for _, m := range makers {
		for _, stays := range []bool{false, true} {
			r := rand.New(rand.NewPCG(1, 2))
			wrong := 0
			for range rounds {
				a, b := "/tmp/"+m.make(r), "/tmp/"+m.make(r)
				if !stays {
					a, b = "-"+a, "-"+b
				}
				if len(differ(made(a), made(b))) > 0 {
					wrong++
				}
			}
			t.Logf("%-24s stays %-5v %.3f %%", m.name, stays, 100*float64(wrong)/rounds)
			limit := rounds / 150
			if stays {
				limit = rounds / 50
			}
			if m.name == "tempfile without" && stays {
				continue // no library leaves one
			}
			if wrong > limit {
				t.Errorf("%s (stays: %v): %d of %d differ", m.name, stays, wrong, rounds)
			}
		}
	}
}

package redact

import (
	"bytes"
	"slices"
	"strings"

	"glasshouse/receipt"
)

// maxHunted is how many secrets a Masker looks for in all that it is given.
const maxHunted = 256

// A Masker puts stars in the place of secrets in bytes that are written while
// the run goes on, when it is not known yet where else they will stand. It is
// for one goroutine at a time.
type Masker struct {
	patterns *Redactor
	known    [][]byte // that are looked for everywhere; the longest first
}

// Masker returns one that knows no secret yet.
func (r *Redactor) Masker() *Masker { return &Masker{patterns: r} }

// Argv masks the secrets in a list of arguments, each followed by a NUL but
// perhaps the last. It returns argv if there are none, else a copy.
func (m *Masker) Argv(argv []byte) []byte {
	args := strings.Split(string(argv), "\x00")
	p := &pass{
		Redactor: &Redactor{patterns: m.patterns.patterns, secrets: map[string]*secret{}},
		rec:      &receipt.Receipt{}, found: map[*string][]span{},
	}
	p.argv(args)
	out, begin := argv, 0
	for i := range args {
		for _, s := range p.found[&args[i]] {
			if &out[0] == &argv[0] {
				out = bytes.Clone(argv)
			}
			m.learn(args[i][s.from:s.to])
			star(out[begin+s.from : begin+s.to])
		}
		begin += len(args[i]) + 1
	}
	return m.Bytes(out)
}

// Bytes masks the secrets that are known by now. It returns data if there are
// none in it, else a copy.
func (m *Masker) Bytes(data []byte) []byte {
	out := data
	for _, secret := range m.known {
		for from := 0; ; from += len(secret) {
			i := bytes.Index(out[from:], secret)
			if i < 0 {
				break
			}
			if &out[0] == &data[0] {
				out = bytes.Clone(data)
			}
			from += i
			star(out[from : from+len(secret)])
		}
	}
	return out
}

// learn has a secret looked for everywhere, if that is more than a mere word.
func (m *Masker) learn(value string) {
	if !hunted(value) || len(m.known) == maxHunted {
		return
	}
	for _, k := range m.known {
		if string(k) == value {
			return
		}
	}
	// The longest first: of a secret that holds another one all is masked.
	i, _ := slices.BinarySearchFunc(m.known, len(value), func(k []byte, n int) int { return n - len(k) })
	m.known = slices.Insert(m.known, i, []byte(value))
}

func star(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}

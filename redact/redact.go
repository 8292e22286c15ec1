// Package redact takes secrets out of a receipt before it is written.
//
// Rules find them in arguments: by how a token looks, by the name of a flag, a
// variable or a header before it, by the program that takes it, or by a
// pattern that the user gave. In its place stands "[redacted:1]" then, and
// under "redactions" a commitment: SHA-256 over a salt and the secret, by
// which who knows the secret can show that it was the one. The same secret has
// one number and one salt wherever it stands.
//
// A secret that was found is then looked for in all other strings of the
// receipt, paths and errors included, if it is of 8 bytes or more and no mere
// word or date; of one longer than 64 bytes the beginning is enough. A shorter
// one is replaced only where a rule recognises it.
//
// A secret is what stood in the argument: between the quotes if a shell was to
// take these off, with the escapes of a URL or of JSON.
//
// Rules are heuristics: what none of them knows stays.
package redact

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"glasshouse/receipt"
)

// Rules that are not named after a shape. The others are those of shapes and
// "private-key", "flag", "assignment", "json", "header", "authorization",
// "cookie", "url-password" and "url-token".
const (
	RulePattern = "pattern" // the user's; the pattern itself may tell the secret
	RuleMarker  = "marker"  // no secret, but text that could be taken for a redaction
)

// maxSecrets is how many different secrets have a number of their own. More
// are replaced by "[redacted]" alone.
const maxSecrets = 1 << 16

// SaltLen is the length of a salt in bytes.
const SaltLen = 16

// Options say what is to be redacted beyond what the rules know.
type Options struct {
	// Patterns are globs that match a whole argument (* is any run of characters,
	// ? any one), or regular expressions between slashes (syntax of Go's regexp)
	// whose matches in an argument, or the first group of these, are secrets.
	Patterns []string
	// Salt returns SaltLen bytes; nil is crypto/rand.
	Salt func() []byte
}

// Redactor redacts. It keeps what it found: Text knows the secrets of the
// receipts before.
type Redactor struct {
	patterns []*regexp.Regexp
	salt     func() []byte

	secrets map[string]*secret // by value, and by other forms of one
	finder  *finder
	more    uint64 // secrets without a number
}

// A secret is one value.
type secret struct {
	value string
	rule  string
	id    int // 0: it has not been replaced anywhere yet
}

// New checks the patterns. Its error names the one that cannot be used.
func New(o Options) (*Redactor, error) {
	r := &Redactor{salt: o.Salt}
	if r.salt == nil {
		r.salt = randomSalt
	}
	for _, p := range o.Patterns {
		re, err := compile(p)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", p, err)
		}
		r.patterns = append(r.patterns, re)
	}
	return r, nil
}

func randomSalt() []byte {
	salt := make([]byte, SaltLen)
	_, _ = rand.Read(salt) // never fails
	return salt
}

// Receipt replaces the secrets in rec, lists them in rec.Redactions, and
// normalises rec, all in place. Doing it again changes nothing.
//
// It is best called before rec was normalised for the first time: as long as
// the strings are the kernel's bytes the commitments are over these. In a string that
// was put into text form because it is no UTF-8, it is that form which is
// taken for the secret.
//
// The execution_id is left as it is. It is to be computed over the redacted
// arguments: over the others it would be a hash without a salt, by which
// guesses could be tried.
func (r *Redactor) Receipt(rec *receipt.Receipt) {
	r.secrets, r.more = map[string]*secret{}, 0
	p := &pass{Redactor: r, rec: rec, known: len(rec.Redactions), found: map[*string][]span{}}
	sortProcesses(rec)
	p.arguments()
	r.finder = r.newFinder()
	(&walk{visit: p.replace}).receipt(rec)
	if len(rec.Redactions) == 0 {
		rec.Normalize()
		return
	}
	if r.more > 0 {
		rec.Observation.Gaps = append(rec.Observation.Gaps, receipt.Gap{
			Kind: receipt.GapRedaction, Count: r.more,
			Detail: fmt.Sprintf("strings with secrets beyond the first %d, which were replaced without a commitment", maxSecrets),
		})
	}
	rec.Normalize()
	places(rec)
}

// Text replaces the secrets of the latest receipt in text that goes with it,
// such as an error.
func (r *Redactor) Text(s string) string {
	if r.finder == nil {
		return s
	}
	return r.finder.replace(s, func(*secret) {})
}

// sortProcesses brings the lists with arguments into their order, for the
// numbers to follow it.
func sortProcesses(rec *receipt.Receipt) {
	slices.SortStableFunc(rec.ProcessTree, func(a, b receipt.Process) int {
		return cmp.Or(cmp.Compare(a.StartTime, b.StartTime), cmp.Compare(a.PID, b.PID))
	})
	slices.SortStableFunc(rec.ExecFailures, func(a, b receipt.ExecFail) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Errno, b.Errno), slices.Compare(a.Argv, b.Argv), cmp.Compare(a.PID, b.PID))
	})
}

// newFinder takes the secrets that are looked for everywhere, in all the forms
// in which they may stand there.
func (r *Redactor) newFinder() *finder {
	var needles []needle
	for value, s := range r.secrets {
		if s.rule != RulePattern && !hunted(value) || len(value) < minHunted {
			continue
		}
		add := func(form string) {
			if len(form) >= minHunted {
				needles = append(needles, needle{text: form, secret: s})
			}
		}
		add(value)
		if strings.IndexByte(value, '\\') >= 0 || !utf8.ValidString(value) {
			// As it stands in a string that is no text: see receipt.Text.
			escaped, ok := strings.CutPrefix(receipt.Text("\xff"+value), `\xff`)
			if ok {
				add(escaped)
			}
		}
		if q := strconv.Quote(value); len(q) != len(value)+2 {
			add(q[1 : len(q)-1]) // in an error
		}
		if s.rule == "url-password" && strings.IndexByte(value, '%') >= 0 {
			if plain, err := url.PathUnescape(value); err == nil && plain != value {
				// What the program takes it for is another string, with a
				// commitment of its own.
				if _, ok := r.secrets[plain]; !ok && len(plain) >= minHunted {
					needles = append(needles, needle{text: plain, secret: &secret{value: plain, rule: s.rule}})
				}
			}
		}
	}
	return newFinder(needles)
}

func marker(id int) string {
	if id == 0 {
		return markerBegin[:len(markerBegin)-1] + "]"
	}
	return markerBegin + strconv.Itoa(id) + "]"
}

const markerBegin = "[redacted:"

// markerAt finds the next text in s that looks like a redaction.
func markerAt(s string, from int) (begin, end, id int) {
	for {
		n := strings.Index(s[from:], markerBegin)
		if n < 0 {
			return -1, -1, 0
		}
		begin = from + n
		from = begin + len(markerBegin)
		end = from
		for end < len(s) && end-from < 10 && '0' <= s[end] && s[end] <= '9' {
			end++
		}
		if end == from || end == len(s) || s[end] != ']' {
			continue
		}
		id, _ = strconv.Atoi(s[from:end])
		return begin, end + 1, id
	}
}

// commit gives a secret its number and its entry.
func (r *Redactor) commit(rec *receipt.Receipt, s *secret) {
	if s.id != 0 {
		return
	}
	if len(rec.Redactions) >= maxSecrets {
		r.more++
		return
	}
	salt := r.salt()
	sum := sha256.Sum256(append(slices.Clone(salt), s.value...))
	s.id = len(rec.Redactions) + 1
	rec.Redactions = append(rec.Redactions, receipt.Redaction{
		ID: s.id, Rule: s.rule, Salt: hex.EncodeToString(salt), Commitment: hex.EncodeToString(sum[:]), Places: []string{},
	})
}

// places lists where the redactions stand.
func places(rec *receipt.Receipt) {
	for i := range rec.Redactions {
		rec.Redactions[i].Places = []string{}
	}
	w := &walk{}
	w.visit = func(s *string) {
		pointer := ""
		for begin, end, id := markerAt(*s, 0); begin >= 0; begin, end, id = markerAt(*s, end) {
			if id < 1 || id > len(rec.Redactions) {
				continue
			}
			if pointer == "" {
				pointer = w.pointer()
			}
			// Once a string.
			if list := &rec.Redactions[id-1].Places; len(*list) == 0 || (*list)[len(*list)-1] != pointer {
				*list = append(*list, pointer)
			}
		}
	}
	w.receipt(rec)
}

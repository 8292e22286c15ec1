package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"glasshouse/test/vm/plan"
)

// outcome is what came of a suite on a kernel.
type outcome struct {
	passed, failed int
	skipped        []string // names
	begun, ended   bool
	err            string // how the test binary ended; "" for success
	log            bytes.Buffer
}

// String is the closing line.
func (o *outcome) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", o.passed, o.failed, len(o.skipped))
}

// problems says why the outcome is no success. filtered is for a run of
// selected tests, of which a suite may have none.
func (o *outcome) problems(k kernel, s suite, filtered, skipsAllowed bool) []string {
	var out []string
	switch {
	case !o.begun:
		return []string{"was not run"}
	case !o.ended:
		out = append(out, "did not end")
	case o.err != "":
		out = append(out, o.err)
	case o.failed > 0:
		out = append(out, "has failed tests and says that it has none")
	case o.passed == 0 && !filtered:
		out = append(out, "ran no test")
	}
	for _, name := range o.skipped {
		if _, ok := s.maySkip[k.name+"/"+name]; !ok && !skipsAllowed {
			out = append(out, name+" was skipped, and has to run")
		}
	}
	return out
}

// reader takes the output of a guest, line by line, to outcomes.
type reader struct {
	outcomes map[string]*outcome
	done     bool
	release  string // of the kernel, once done
	failure  string // why the guest could not do its work
	tail     []string
	current  *outcome
	partial  []byte
	onBegin  func()
	onEnd    func(suite string, o *outcome)
}

func newReader(run []suite) *reader {
	r := &reader{outcomes: map[string]*outcome{}, onBegin: func() {}, onEnd: func(string, *outcome) {}}
	for _, s := range run {
		r.outcomes[s.name] = &outcome{}
	}
	return r
}

// lineMax bounds what is kept of a line.
const lineMax = 1 << 20

func (r *reader) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, found := bytes.Cut(p, []byte("\n"))
		if len(r.partial)+len(line) <= lineMax {
			r.partial = append(r.partial, line...)
		}
		if !found {
			return n, nil
		}
		r.line(strings.TrimRight(string(r.partial), "\r"))
		r.partial, p = r.partial[:0], rest
	}
}

// close tells if the guest came to its end.
func (r *reader) close() error {
	if len(r.partial) > 0 {
		r.line(string(r.partial))
		r.partial = nil
	}
	switch {
	case r.failure != "":
		return errors.New(r.failure)
	case !r.done:
		return errors.New("ended without a result")
	}
	return nil
}

// tailMax is how many lines are shown of a guest that died.
const tailMax = 60

// verdict is the line that the testing package ends a test with. A test that
// printed half a line has it behind that: the marker tells.
var verdict = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+) \(`)

const marker = "\x16" // of -test.v=test2json

func (r *reader) line(line string) {
	if e, ok := plan.Parse(line); ok {
		r.event(e)
		return
	}
	r.tail = append(r.tail, strings.ReplaceAll(line, marker, ""))
	if len(r.tail) > tailMax {
		r.tail = r.tail[len(r.tail)-tailMax:]
	}
	o := r.current
	if o == nil {
		return
	}
	fmt.Fprintln(&o.log, strings.ReplaceAll(line, marker, ""))
	_, marked, ok := strings.Cut(line, marker)
	m := verdict.FindStringSubmatch(marked)
	if !ok || m == nil {
		return
	}
	switch m[1] {
	case "PASS":
		o.passed++
	case "FAIL":
		o.failed++
	case "SKIP":
		o.skipped = append(o.skipped, m[2])
	}
}

func (r *reader) event(e plan.Event) {
	switch e.Kind {
	case plan.Begin:
		if o, ok := r.outcomes[e.Suite]; ok {
			o.begun, r.current = true, o
			r.onBegin()
		}
	case plan.End:
		if o, ok := r.outcomes[e.Suite]; ok {
			o.ended, o.err, r.current = true, e.Detail, nil
			r.onEnd(e.Suite, o)
		}
	case plan.Failed:
		r.failure = e.Detail
	case plan.Done:
		r.done, r.release = true, e.Detail
	}
}

// noise is what a log says of tests that passed.
var noise = regexp.MustCompile(`^ *(=== (RUN|PAUSE|CONT|NAME) |--- PASS)|^PASS$|^$`)

// failures is the log without its noise.
func (o *outcome) failures() string {
	var b strings.Builder
	for line := range strings.Lines(o.log.String()) {
		if !noise.MatchString(strings.TrimSuffix(line, "\n")) {
			b.WriteString(line)
		}
	}
	return b.String()
}

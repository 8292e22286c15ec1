// Package plan is what the matrix and the first process of a guest agree on:
// the file that says what to run, and the lines that say what came of it.
package plan

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Path of the plan in a guest.
const Path = "/plan.json"

// Plan is all that a guest runs.
type Plan struct {
	Suites []Suite
}

// Suite is one test binary.
type Suite struct {
	Name string
	Dir  string   // working folder
	Argv []string // the binary and its flags
	Env  []string // NAME=VALUE, in addition to the environment there is
}

// Read reads the plan of a guest.
func Read() (Plan, error) {
	var p Plan
	content, err := os.ReadFile(Path)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(content, &p); err != nil {
		return p, fmt.Errorf("%s: %w", Path, err)
	}
	return p, nil
}

// mark begins the lines that are not a test's. That QEMU exits with 0 means
// nothing, it does so after a panic of the guest's kernel too: a guest has
// done its work when it has printed Done.
const mark = "@matrix "

// Event is what such a line says.
type Event struct {
	Kind   Kind
	Suite  string // of Begin and End
	Detail string // of End: "" for success; of Failed: why; of Done: the kernel's release
}

// Kind of an event.
type Kind string

// The kinds.
const (
	Begin  Kind = "begin"  // a suite
	End    Kind = "end"    // of a suite
	Failed Kind = "failed" // the guest could not do its work
	Done   Kind = "done"   // all suites have ended
)

// String is the line, without its end.
func (e Event) String() string {
	return fmt.Sprintf("%s%s %s|%s", mark, e.Kind, e.Suite, strings.ReplaceAll(e.Detail, "\n", " "))
}

// Parse reads a line of a guest's output.
func Parse(line string) (Event, bool) {
	_, rest, ok := strings.Cut(line, mark)
	if !ok {
		return Event{}, false
	}
	kind, rest, _ := strings.Cut(rest, " ")
	suite, detail, ok := strings.Cut(rest, "|")
	switch Kind(kind) {
	case Begin, End, Failed, Done:
		return Event{Kind(kind), suite, detail}, ok
	}
	return Event{}, false
}

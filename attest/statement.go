package attest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"glasshouse/receipt"
)

// What a signed statement says it is.
const (
	PayloadType   = "application/vnd.in-toto+json"
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "urn:glasshouse:receipt:v0.3"
)

// MaxSubjects is how many things one statement can vouch for. Sigstore's tools
// refuse more.
const MaxSubjects = 1024

// maxNames bounds the names of files in a statement, in bytes: those that are
// subjects and those that were excluded, together.
const maxNames = 1 << 20

// Statement is an in-toto Statement, version 1: github.com/in-toto/attestation.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"` // a Predicate
}

// Subject is one of the things that a statement vouches for: the receipt,
// "stdout", "stderr", or a file by its absolute path.
type Subject struct {
	Name   string `json:"name"`
	Digest Digest `json:"digest"`
}

// Digest is a hex SHA-256.
type Digest struct {
	SHA256 string `json:"sha256"`
}

// Predicate is what the receipt says in short. All but Excluded and Omitted are
// the receipt's own words, and are checked against it.
type Predicate struct {
	ReceiptVersion string              `json:"receipt_version"`
	ExecutionID    string              `json:"execution_id"`
	Command        Command             `json:"command"`
	Outcome        receipt.Outcome     `json:"outcome"`
	Timing         receipt.Timing      `json:"timing"`
	Execution      receipt.Execution   `json:"execution"`
	Observation    Observation         `json:"observation"`
	Resources      receipt.Resources   `json:"resources"`
	Environment    receipt.Environment `json:"environment"`
	Artifacts      receipt.Artifacts   `json:"artifacts"`
	Counts         Counts              `json:"counts"`

	// Excluded are written files that are no subjects, in the receipt's order.
	Excluded []Excluded `json:"excluded"`
	// Omitted counts those for which there was no room, neither as a subject
	// nor in Excluded.
	Omitted int `json:"omitted"`
}

// Command is the receipt's, with arguments of at most maxArgv bytes.
type Command struct {
	receipt.Command
	ArgvTruncated bool `json:"argv_truncated"`
}

// maxArgv is how much a predicate repeats of the arguments.
const maxArgv = 16 << 10

// Observation is the receipt's without its lists.
type Observation struct {
	Mode         string               `json:"mode"`
	Complete     bool                 `json:"complete"`
	Reason       *string              `json:"reason"`
	Events       receipt.Events       `json:"events"`
	Backpressure receipt.Backpressure `json:"backpressure"`
}

// Counts are the lengths of the receipt's lists.
type Counts struct {
	Hooks            int `json:"hooks"`
	Gaps             int `json:"gaps"`
	Survivors        int `json:"survivors"`
	ProcessTree      int `json:"process_tree"`
	ExecFailures     int `json:"exec_failures"`
	Reads            int `json:"reads"`
	Writes           int `json:"writes"`
	Deletes          int `json:"deletes"`
	PolicyViolations int `json:"policy_violations"`
	Renames          int `json:"renames"`
	Created          int `json:"created"`
	Changed          int `json:"changed"`
	Mounts           int `json:"mounts"`
	Failed           int `json:"failed"`
	Files            int `json:"files"`
	Attempts         int `json:"attempts"`
	Listens          int `json:"listens"`
	Accepts          int `json:"accepts"`
	DNS              int `json:"dns"`
	Syscalls         int `json:"syscalls"`
	Denied           int `json:"denied"`
	Redactions       int `json:"redactions"`
}

// Excluded is a written file that stood there when the run ended, and that the
// statement does not vouch for.
type Excluded struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// claims is a predicate without what it says of files.
func claims(r *receipt.Receipt) Predicate {
	o, fs, n := &r.Observation, &r.Filesystem, &r.Network
	return Predicate{
		ReceiptVersion: r.ReceiptVersion,
		ExecutionID:    r.ExecutionID,
		Command:        command(r.Command),
		Outcome:        r.Outcome,
		Timing:         r.Timing,
		Execution:      r.Execution,
		Observation:    Observation{o.Mode, o.Complete, o.Reason, o.Events, o.Backpressure},
		Resources:      r.Resources,
		Environment:    r.Environment,
		Artifacts:      r.Artifacts,
		Counts: Counts{
			Hooks: len(o.Hooks), Gaps: len(o.Gaps), Survivors: len(o.Survivors),
			ProcessTree: len(r.ProcessTree), ExecFailures: len(r.ExecFailures),
			Reads: len(fs.Reads), Writes: len(fs.Writes), Deletes: len(fs.Deletes),
			PolicyViolations: len(fs.PolicyViolations),
			Renames:          len(fs.Renames), Created: len(fs.Created), Changed: len(fs.Changed),
			Mounts: len(fs.Mounts), Failed: len(fs.Failed), Files: len(fs.Files),
			Attempts: len(n.Attempts), Listens: len(n.Listens), Accepts: len(n.Accepts), DNS: len(n.DNS),
			Syscalls: len(r.Syscalls.Counts), Denied: len(r.Syscalls.Denied),
			Redactions: len(r.Redactions),
		},
		Excluded: []Excluded{},
	}
}

func command(c receipt.Command) Command {
	size := 0
	for i, arg := range c.Argv {
		if size += len(arg) + 1; size > maxArgv {
			c.Argv = c.Argv[:i:i]
			return Command{c, true}
		}
	}
	return Command{c, false}
}

// outputs are the subjects that the receipt has the digests of.
func outputs(a receipt.Artifacts) []Subject {
	var list []Subject
	for _, o := range []struct {
		name string
		hash *string
	}{{"stdout", a.StdoutHash}, {"stderr", a.StderrHash}} {
		if o.hash != nil {
			list = append(list, Subject{o.name, Digest{*o.hash}})
		}
	}
	return list
}

// check tells whether s is a statement of this package.
func (s *Statement) check() error {
	switch n := len(s.Subject); {
	case s.Type != StatementType:
		return fmt.Errorf("_type is %.100q, not %q", s.Type, StatementType)
	case s.PredicateType != PredicateType:
		return fmt.Errorf("predicateType is %.100q, not %q", s.PredicateType, PredicateType)
	case n == 0 || n > MaxSubjects:
		return fmt.Errorf("%d subjects, not 1 to %d", n, MaxSubjects)
	}
	for _, sub := range s.Subject {
		if b, err := hex.DecodeString(sub.Digest.SHA256); err != nil || len(b) != 32 || hex.EncodeToString(b) != sub.Digest.SHA256 {
			return fmt.Errorf("the digest of %.100q is no hex SHA-256", sub.Name)
		}
	}
	return nil
}

package intoto

import (
	"io"

	"glasshouse/receipt"
)

type linkStatement struct {
	Type          string       `json:"_type"`
	Subject       []descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     link         `json:"predicate"`
}

type link struct {
	Name        string          `json:"name"`
	Command     []string        `json:"command"`
	Materials   []descriptor    `json:"materials"`
	Byproducts  byproducts      `json:"byproducts"`
	Environment linkEnvironment `json:"environment"`
}

// byproducts hold return-value, which the verification of in-toto knows.
type byproducts struct {
	ReturnValue int         `json:"return-value"`
	Signal      *string     `json:"glasshouse_signal"`
	Error       *string     `json:"glasshouse_error"`
	Reads       []string    `json:"glasshouse_reads"`
	Writes      []string    `json:"glasshouse_writes"`
	Deletes     []string    `json:"glasshouse_deletes"`
	Observation observation `json:"glasshouse_observation"`
}

type linkEnvironment struct {
	WorkDir string `json:"workdir"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	Kernel  string `json:"kernel"`
	UID     uint32 `json:"uid"`
	GID     uint32 `json:"gid"`
}

func writeLink(w io.Writer, rec *receipt.Receipt, subjects []descriptor) error {
	fs, env := rec.Filesystem, rec.Environment
	return encoder(w).Encode(linkStatement{statementType, subjects, linkType, link{
		Name:      stepName(rec.Command),
		Command:   list(rec.Command.Argv),
		Materials: []descriptor{},
		Byproducts: byproducts{
			ReturnValue: rec.Outcome.ExitCode,
			Signal:      rec.Outcome.Signal,
			Error:       rec.Outcome.Error,
			Reads:       list(fs.Reads),
			Writes:      list(fs.Writes),
			Deletes:     list(fs.Deletes),
			Observation: observationOf(rec),
		},
		Environment: linkEnvironment{rec.Command.WorkingDir, env.OS, env.Arch, env.Kernel, rec.Command.UID, rec.Command.GID},
	}})
}

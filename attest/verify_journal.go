package attest

import (
	"context"
	"errors"
	"fmt"
	"os"

	"glasshouse/journal"
)

// keptLimit bounds how many kept journals are looked at.
const keptLimit = 10_000

// journal checks the chain of the run's journal, if that was kept, and that its
// closing record is about this receipt.
func (v *verification) journal() error {
	path := v.Journal
	if path == "" && v.State != "" {
		var err error
		if path, err = journal.FindKept(v.State, v.statement.Subject[0].Digest.SHA256, keptLimit); err != nil {
			v.report.add("journal", Skip, fmt.Sprintf("none was found: %v", err))
			return nil
		}
	}
	if path == "" {
		text := "no state folder to look for one in"
		if v.State != "" {
			text = "none that names this receipt is kept below " + v.State + "; --journal names one elsewhere"
		}
		v.report.add("journal", Skip, text)
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := journal.Read(f, func(journal.Frame) error { return context.Cause(v.ctx) })
	if v.ctx.Err() != nil {
		return context.Cause(v.ctx)
	}
	if err == nil {
		err = v.closes(c)
	}
	if err != nil {
		v.report.add("journal", Fail, fmt.Sprintf("%s: %v", path, err))
		return nil
	}
	v.report.add("journal", OK, fmt.Sprintf("%s: the chain of %d frames is whole, and its closing record names this receipt", path, c.Frames))
	return nil
}

func (v *verification) closes(c *journal.Contents) error {
	if c.Cut != nil {
		return errors.New(c.Cut.String())
	}
	if c.End == nil {
		return errors.New("it has no closing record, so nothing ties it to a receipt")
	}
	rec := v.receipt
	want := journal.End{
		ExitCode: rec.Outcome.ExitCode,
		Complete: rec.Observation.Complete,
		Received: rec.Observation.Events.Received,
		Receipt:  v.statement.Subject[0].Digest.SHA256,
	}
	if c.End.Receipt != want.Receipt {
		return fmt.Errorf("it is of another receipt: that has the SHA-256 %.64s", c.End.Receipt)
	}
	if *c.End != want {
		return errors.New("its closing record does not say what the receipt says")
	}
	return nil
}

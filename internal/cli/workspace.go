package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"glasshouse/backend/microvm"
	"glasshouse/backend/microvm/workspace"
	"glasshouse/receipt"
)

// workspace checks the folder that is to be sent, and makes the file for what
// comes back of it.
func (m *machine) workspace(cmd *cobra.Command, f *runFlags) (microvm.Workspace, error) {
	if f.vm.workspace == "" {
		if f.vm.apply {
			return microvm.Workspace{}, usageError(cmd, errors.New("--apply needs --workspace"))
		}
		if f.vm.virtiofs {
			return microvm.Workspace{}, usageError(cmd, errors.New("--virtiofs needs --workspace"))
		}
		return microvm.Workspace{}, nil
	}
	if f.vm.virtiofs && f.backend != "qemu" {
		return microvm.Workspace{}, usageError(cmd, fmt.Errorf("--virtiofs: %s has no virtiofs, QEMU has", f.backend))
	}
	dir, err := filepath.Abs(f.vm.workspace)
	if err != nil {
		return microvm.Workspace{}, err
	}
	m.folder = dir
	if info, err := os.Stat(dir); err != nil {
		return microvm.Workspace{}, fmt.Errorf("--workspace: %w", err)
	} else if !info.IsDir() {
		return microvm.Workspace{}, fmt.Errorf("--workspace %s: not a folder", dir)
	}
	place, err := changesPlace(f.output)
	if err != nil {
		return microvm.Workspace{}, err
	}
	if m.kept, err = newChanges(place); err != nil {
		return microvm.Workspace{}, err
	}
	return microvm.Workspace{Dir: dir, Guest: guestWorkspace, Share: f.vm.virtiofs, Keep: m.kept, Limit: workspaceLimit}, nil
}

// became is what became of the workspace in the machine; nil is nothing.
func (m *machine) became(r *microvm.WorkspaceReport) *receipt.Workspace {
	w := &receipt.Workspace{Path: m.folder, GuestPath: guestWorkspace}
	said := func(reason string) *receipt.Workspace {
		w.Error = &reason
		return w
	}
	switch {
	case r == nil:
		return said("the command was not started: nothing became of the workspace")
	case r.Err != nil:
		return said(r.Err.Error())
	}
	w.Added, w.Changed, w.Deleted = slices.Clone(r.Added), slices.Clone(r.Changed), slices.Clone(r.Deleted)
	for _, s := range slices.Concat(r.Skipped, r.Refused) {
		w.Refused = append(w.Refused, receipt.RefusedPath(s))
	}
	return w
}

// conclude does with what came back of the workspace what was asked for, and
// writes that down. An error goes through redact first: the receipt has no secrets
// any more.
func (m *machine) conclude(rec *receipt.Receipt, redact func(error) error) error {
	defer m.discard()
	vm := rec.Execution.VM
	if m.kept == nil || vm == nil {
		return nil
	}
	w, r := vm.Workspace, m.Report().Workspace
	if r == nil {
		return errors.New(*w.Error)
	}
	err := redact(r.Err)
	if err == nil {
		if err = redact(m.settle(w, r, rec.ExitCode == 0 && rec.Outcome.Error == nil)); err != nil {
			said := receipt.Text(err.Error())
			w.Error = &said
		}
	}
	if w.Kept == nil {
		m.old = m.kept.place
	}
	return err
}

// settle applies what came back of the workspace, or keeps it.
func (m *machine) settle(w *receipt.Workspace, r *microvm.WorkspaceReport, success bool) error {
	if len(r.Added)+len(r.Changed)+len(r.Deleted) == 0 {
		return nil
	}
	if m.flags.apply && success {
		tar, err := m.kept.reader()
		if err == nil {
			err = workspace.Apply(tar, m.folder, &r.Diff)
		}
		if err == nil {
			w.Applied = true
			return nil
		}
		return errors.Join(fmt.Errorf("apply the changes of the workspace: %w", err), m.keep(w))
	}
	return m.keep(w)
}

// keep keeps what came back.
func (m *machine) keep(w *receipt.Workspace) error {
	if err := m.kept.keep(); err != nil {
		return fmt.Errorf("keep what came back of the workspace: %w", err)
	}
	place := receipt.Text(m.kept.place)
	w.Kept = &place
	return nil
}

package agent

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"glasshouse/backend"
	"glasshouse/backend/microvm/channel"
	"glasshouse/backend/microvm/workspace"
)

// folder is a workspace that came from the host; nil if none did.
type folder struct {
	snapshot *workspace.Snapshot
	changes  io.WriteCloser
}

// openWorkspace makes the workspace, as one of the user's; nil is root.
func (s *session) openWorkspace(user *backend.User) (_ *folder, err error) {
	spec := s.spec
	if spec.Workspace == "" {
		return nil, nil
	}
	var owner workspace.Owner
	if user != nil {
		owner = workspace.Owner{UID: int(user.UID), GID: int(user.GID)}
	}
	var in io.Reader
	if spec.Shared == "" {
		if in, err = s.conn.Open(channel.Workspace); err != nil {
			return nil, err
		}
	}
	f := &folder{}
	if f.changes, err = s.conn.Open(channel.Changes); err != nil {
		return nil, err
	}
	if spec.Shared != "" {
		f.snapshot, err = s.mountShared(spec.Shared, spec.Workspace, owner)
	} else {
		f.snapshot, err = workspace.Unpack(in, spec.Workspace, owner)
	}
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("%w%s", err, more)
	}
	if err != nil {
		return nil, fmt.Errorf("make the workspace: %w", err)
	}
	return f, nil
}

// bringBack sends what became of the workspace. That it could not is no reason to
// lose what was recorded.
func (f *folder) bringBack(result *channel.Result) {
	if f == nil {
		return
	}
	defer f.snapshot.Close()
	diff, err := f.snapshot.Changes(f.changes)
	if err = errors.Join(err, f.changes.Close()); err != nil {
		result.WorkspaceError = err.Error()
	}
	for _, name := range diff.Deleted {
		result.Deleted = append(result.Deleted, []byte(name))
	}
	for _, r := range diff.Refused {
		result.Refused = append(result.Refused, channel.Refused{Path: []byte(r.Path), Reason: r.Reason})
	}
}

package agent

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"glasshouse/backend/microvm/workspace"
)

// mountShared mounts the folder that the host shares, with a layer over it that
// takes what is written. What lies below is for the host's folder to decide; its
// own owner alone is the command's.
func (s *session) mountShared(tag, at string, owner workspace.Owner) (*workspace.Snapshot, error) {
	if s.layer == nil {
		return nil, errors.New("a shared folder needs an image with a root file system")
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount(tag, at, "virtiofs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
		return nil, fmt.Errorf("mount the shared folder (the image's kernel needs virtiofs): %w", err)
	}
	// Under the overlay the folder has no name any more.
	below, err := os.Open(at)
	if err != nil {
		return nil, err
	}
	defer below.Close()
	place := fmt.Sprintf("/proc/self/fd/%d/", s.layer.Fd())
	upper, work := place+"workspace", place+"workspace-work"
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return nil, err
	}
	// Each name in upper is one that was written to: nothing of another name's
	// content is to be found by it.
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=off,index=off,metacopy=off", at, upper, work)
	if err := unix.Mount("overlay", at, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return nil, fmt.Errorf("mount the layer over the shared folder: %w", err)
	}
	if err := os.Chown(at, owner.UID, owner.GID); err != nil {
		return nil, err
	}
	return workspace.Layered(at, fmt.Sprintf("/proc/self/fd/%d", below.Fd()), upper)
}

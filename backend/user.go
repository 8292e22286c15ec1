package backend

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Invoking is the user specification for whoever called sudo.
const Invoking = "invoking"

// ErrUnknownUser is about a name that the system does not know.
var ErrUnknownUser = errors.New("unknown user")

// LookupUser resolves a user specification:
//
//	NAME, UID                            with the user's own group and supplementary groups
//	NAME:GROUP, NAME:GID, UID:GROUP, UID:GID   with this one group and no other
//	invoking                             the user who called sudo, from SUDO_UID and SUDO_GID;
//	                                     without SUDO_GID with the user's own group
//
// All digits are always an ID, never a name. A UID that the system does not
// know has no group of its own: it needs the form with a GID.
func LookupUser(spec string) (*User, error) {
	if spec == Invoking {
		return invokingUser(os.Getenv("SUDO_UID"), os.Getenv("SUDO_GID"))
	}
	who, group, grouped := strings.Cut(spec, ":")
	if who == "" {
		return nil, fmt.Errorf("%q: no user named", spec)
	}
	if grouped && group == "" {
		return nil, fmt.Errorf("%q: no group named after the colon", spec)
	}
	if !grouped {
		u, err := findUser(who)
		var unknown user.UnknownUserIdError
		if errors.As(err, &unknown) {
			return nil, fmt.Errorf("%q: the system does not know this uid: add its group, as in %s:GID", spec, who)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", spec, err)
		}
		return withGroups(u)
	}

	gid, err := findGroup(group)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", spec, err)
	}
	u, err := findUser(who)
	var unknown user.UnknownUserIdError
	if errors.As(err, &unknown) {
		uid, err := parseID(who)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", spec, err)
		}
		return &User{UID: uid, GID: gid, Groups: []uint32{gid}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", spec, err)
	}
	uid, err := parseID(u.Uid)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", spec, err)
	}
	return &User{UID: uid, GID: gid, Groups: []uint32{gid}, Name: u.Username}, nil
}

// invokingUser takes sudo's word for the IDs: the variables can be set by
// anyone, but then only by somebody who may already run as any user.
func invokingUser(sudoUID, sudoGID string) (*User, error) {
	if sudoUID == "" {
		return nil, errors.New("invoking: SUDO_UID is not set: not called through sudo")
	}
	uid, err := parseID(sudoUID)
	if err != nil {
		return nil, fmt.Errorf("invoking: SUDO_UID: %w", err)
	}
	var gid uint32
	if sudoGID != "" {
		if gid, err = parseID(sudoGID); err != nil {
			return nil, fmt.Errorf("invoking: SUDO_GID: %w", err)
		}
	}
	u, err := user.LookupId(sudoUID)
	var unknown user.UnknownUserIdError
	if errors.As(err, &unknown) {
		if sudoGID == "" {
			return nil, fmt.Errorf("invoking: the system does not know uid %d, and SUDO_GID is not set", uid)
		}
		return &User{UID: uid, GID: gid, Groups: []uint32{gid}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("invoking: %w", err)
	}
	known, err := withGroups(u)
	if err != nil {
		return nil, err
	}
	if sudoGID != "" {
		known.GID = gid
	}
	return known, nil
}

func findUser(s string) (*user.User, error) {
	if !isDigits(s) {
		u, err := user.Lookup(s)
		var unknown user.UnknownUserError
		if errors.As(err, &unknown) {
			return nil, ErrUnknownUser // the caller names it
		}
		return u, err
	}
	if _, err := parseID(s); err != nil {
		return nil, err
	}
	return user.LookupId(s)
}

func findGroup(s string) (uint32, error) {
	if isDigits(s) {
		return parseID(s)
	}
	g, err := user.LookupGroup(s)
	if err != nil {
		return 0, err
	}
	return parseID(g.Gid)
}

func withGroups(u *user.User) (*User, error) {
	uid, err := parseID(u.Uid)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Username, err)
	}
	gid, err := parseID(u.Gid)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Username, err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %s: %w", u.Username, err)
	}
	groups := make([]uint32, 0, len(ids))
	for _, s := range ids {
		id, err := parseID(s)
		if err != nil {
			return nil, fmt.Errorf("groups of user %s: %w", u.Username, err)
		}
		groups = append(groups, id)
	}
	return &User{UID: uid, GID: gid, Groups: groups, Name: u.Username}, nil
}

// parseID refuses 2^32-1: to the kernel it means "leave unchanged".
func parseID(s string) (uint32, error) {
	id, err := strconv.ParseUint(s, 10, 32)
	if err != nil || id == math.MaxUint32 {
		return 0, fmt.Errorf("%q is not a user or group id", s)
	}
	return uint32(id), nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Env is what a login sets for the user. One that the system does not know has
// no home.
func (u *User) Env() []string {
	known, err := user.LookupId(strconv.FormatUint(uint64(u.UID), 10))
	if err != nil {
		return []string{"HOME=/"}
	}
	return []string{
		"HOME=" + known.HomeDir,
		"USER=" + known.Username,
		"LOGNAME=" + known.Username,
	}
}

//go:build unix

package backend

import (
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A uid that no passwd file of a sane machine has.
const unknownUID = "3999999999"

func TestLookupUser(t *testing.T) {
	root, err := user.Lookup("root")
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(root.Gid)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range []string{"root", "0"} {
		u, err := LookupUser(spec)
		if err != nil {
			t.Fatal(err)
		}
		if u.UID != 0 || u.GID != 0 || u.Name != "root" || !slices.Contains(u.Groups, 0) {
			t.Errorf("%s: got %+v", spec, u)
		}
	}
	for spec, want := range map[string]User{
		"root:7":                      {UID: 0, GID: 7, Groups: []uint32{7}, Name: "root"},
		"0:" + group.Name:             {UID: 0, GID: 0, Groups: []uint32{0}, Name: "root"},
		unknownUID + ":12":            {UID: 3999999999, GID: 12, Groups: []uint32{12}},
		unknownUID + ":" + group.Name: {UID: 3999999999, GID: 0, Groups: []uint32{0}},
	} {
		u, err := LookupUser(spec)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		if u.UID != want.UID || u.GID != want.GID || u.Name != want.Name || !slices.Equal(u.Groups, want.Groups) {
			t.Errorf("%s: got %+v, want %+v", spec, u, want)
		}
	}
}

func TestLookupUserErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"":                   "no user named",
		":0":                 "no user named",
		"root:":              "no group named",
		"no-such-user-here":  "unknown user",
		"root:no-such-group": "unknown group",
		unknownUID:           unknownUID + ":GID",
		"4294967295:0":       "not a user or group id",
		"0:4294967295":       "not a user or group id",
		"99999999999999":     "not a user or group id",
		"root:-1":            "unknown group",
	} {
		u, err := LookupUser(spec)
		if err == nil {
			t.Errorf("%q: got %+v, want an error", spec, u)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %q does not say %q", spec, err, want)
		}
	}
}

func TestLookupUserInvoking(t *testing.T) {
	t.Setenv("SUDO_UID", "")
	t.Setenv("SUDO_GID", "")
	if u, err := LookupUser(Invoking); err == nil || !strings.Contains(err.Error(), "sudo") {
		t.Errorf("without sudo: got %+v, %v", u, err)
	}

	t.Setenv("SUDO_UID", unknownUID)
	t.Setenv("SUDO_GID", "12")
	u, err := LookupUser(Invoking)
	if err != nil {
		t.Fatal(err)
	}
	if strconv.Itoa(int(u.UID)) != unknownUID || u.GID != 12 || !slices.Equal(u.Groups, []uint32{12}) {
		t.Errorf("unknown to the system: got %+v", u)
	}

	// A group that is not told is the user's own, if the system knows the user.
	t.Setenv("SUDO_GID", "")
	if u, err := LookupUser(Invoking); err == nil || !strings.Contains(err.Error(), "SUDO_GID") {
		t.Errorf("unknown to the system and without a group: got %+v, %v", u, err)
	}
	t.Setenv("SUDO_UID", "0")
	if u, err := LookupUser(Invoking); err != nil || u.UID != 0 || u.GID != 0 || u.Name != "root" {
		t.Errorf("root without SUDO_GID: got %+v, %v", u, err)
	}

	t.Setenv("SUDO_GID", "0")
	if u, err = LookupUser(Invoking); err != nil || u.Name != "root" {
		t.Errorf("root: got %+v, %v", u, err)
	}

	for _, bad := range []string{"x", "-1", "4294967295", "1 "} {
		for _, gid := range []string{"0", ""} {
			t.Setenv("SUDO_UID", bad)
			t.Setenv("SUDO_GID", gid)
			if u, err := LookupUser(Invoking); err == nil || !strings.Contains(err.Error(), "SUDO_UID: ") {
				t.Errorf("SUDO_UID=%q: got %+v, %v, want an error about it", bad, u, err)
			}
		}
	}
}

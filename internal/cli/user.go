package cli

import (
	"os/user"
	"strconv"

	"glasshouse/backend"
)

// userEnv is what a login sets for a user. One that the system does not know
// has no home.
func userEnv(u *backend.User) []string {
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

package insight

import (
	"path"
	"slices"
	"strings"
)

// fileRules tell of what happened to files. "Outside" is outside of the
// working directory and of the folders for temporary files. Devices that hold
// nothing, terminals, and what /proc says of the run's own processes are never
// outside.
var fileRules = []rule{
	{Rule{"policy_violations", Warning, "Files or connections were touched that a policy forbids."}, policyViolations},
	{Rule{"secrets_read", Warning, "Files were read that hold passwords, keys or sessions by their well-known names, or memory or environments of processes outside of the run."}, secretsRead},
	{Rule{"startup_files", Warning, "Files were changed that make something run later: of shells and logins, cron, systemd, autostart, ssh, the dynamic loader, hooks of git."}, startupFiles},
	{Rule{"deletes_outside", Warning, "Something was deleted or moved away outside of the working directory, folders for temporary files included, that the run had not made."}, deletesOutside},
	{Rule{"mounts", Warning, "The tree of mounts was changed."}, mounts},
	{Rule{"writes_outside", Notice, "Something was written outside that is neither of the kind of startup_files nor of dotfiles."}, writesOutside},
	{Rule{"dotfiles", Notice, "Dotfiles of a home folder were changed, ~/.cache aside what is in a working directory that lies in such a folder, and what is of the kind of startup_files. Dotfiles elsewhere, such as a working directory's .git, do not count."}, dotfiles},
	{Rule{"rights_changed", Notice, "Mode, owner, attributes or flags of something were changed outside that the run had not made. Whether that made it setuid is not known."}, rightsChanged},
	{Rule{"changed_later", Notice, "A written file was changed again by the end, by a process outside of the run or through a mapping."}, changedLater},
	{Rule{"denied_files", Notice, "Operations on files ended in EACCES, EPERM or EROFS."}, deniedFiles},
}

func policyViolations(f *facts) hit {
	items := slices.Clone(f.Filesystem.PolicyViolations)
	for _, at := range f.Network.Attempts {
		if at.Policy != "" && at.Policy != "allowed" && at.Policy != "allow" {
			items = append(items, at.Dst+" "+at.Policy)
		}
	}
	return about(set(items), func(n int) string { return count(n, "thing", "things") + " that a policy forbids" })
}

func secretsRead(f *facts) hit {
	own := f.pids()
	return aboutPaths(f.pathsWhere(func(file File) bool {
		return file.Marks.Has(Read) && (secretFile(file.Path) || foreignProcess(file.Path, own))
	}), "read a file that holds secrets", "read %s files that hold secrets")
}

// secretFile tells whether a file is known to hold secrets, by its path.
func secretFile(p string) bool {
	switch p {
	case "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/krb5.keytab", "/etc/security/opasswd":
		return true
	}
	base := path.Base(p)
	if strings.HasPrefix(p, "/etc/ssh/") && strings.HasPrefix(base, "ssh_host_") && !strings.HasSuffix(base, ".pub") {
		return true
	}
	for _, dir := range []string{"/run/secrets", "/etc/ssl/private", "/var/run/secrets"} {
		if within(p, dir) && p != dir {
			return true
		}
	}
	_, rest, ok := home(p)
	if !ok {
		return false
	}
	switch rest {
	case ".netrc", ".git-credentials", ".pgpass", ".my.cnf", ".npmrc", ".pypirc", ".vault-token",
		".aws/credentials", ".docker/config.json", ".kube/config", ".cargo/credentials", ".cargo/credentials.toml",
		".config/gh/hosts.yml", ".config/git/credentials", ".config/containers/auth.json", ".config/rclone/rclone.conf",
		".gem/credentials", ".m2/settings-security.xml", ".terraform.d/credentials.tfrc.json":
		return true
	}
	switch {
	case strings.HasPrefix(rest, ".ssh/"):
		return strings.HasPrefix(base, "id_") && !strings.HasSuffix(base, ".pub") || strings.HasSuffix(base, ".pem")
	case strings.HasPrefix(rest, ".gnupg/"):
		return strings.HasPrefix(rest, ".gnupg/private-keys-v1.d/") || base == "secring.gpg"
	case strings.HasPrefix(rest, ".config/gcloud/"):
		return strings.Contains(base, "credentials") || base == "access_tokens.db"
	case strings.HasPrefix(rest, ".aws/sso/cache/"), strings.HasPrefix(rest, ".local/share/keyrings/"):
		return strings.Contains(base, ".") // a file, not a folder
	case strings.HasPrefix(rest, ".mozilla/"), strings.HasPrefix(rest, ".config/google-chrome/"), strings.HasPrefix(rest, ".config/chromium/"):
		switch base {
		case "cookies.sqlite", "logins.json", "key4.db", "Cookies", "Login Data":
			return true
		}
	}
	return false
}

// pids are the processes of the run, as /proc has them.
func (f *facts) pids() map[string]bool {
	own := make(map[string]bool, len(f.ProcessTree))
	for i := range f.ProcessTree {
		own[pidText(f.ProcessTree[i].PID)] = true
	}
	return own
}

// foreignProcess tells whether a path shows what another process than the
// run's has in memory.
func foreignProcess(p string, own map[string]bool) bool {
	pid, what, ok := ofProcess(p)
	return ok && !own[pid] && (what == "mem" || what == "environ" || strings.HasSuffix(what, "/mem") || strings.HasSuffix(what, "/environ"))
}

// ofProcess takes /proc/PID/WHAT apart.
func ofProcess(p string) (pid, what string, ok bool) {
	rest, ok := strings.CutPrefix(p, "/proc/")
	if !ok {
		return "", "", false
	}
	pid, what, ok = strings.Cut(rest, "/")
	return pid, what, ok && pid != "" && strings.Trim(pid, "0123456789") == ""
}

func startupFiles(f *facts) hit {
	return aboutPaths(f.pathsWhere(func(file File) bool {
		return file.Marks&changes != 0 && runsLater(file.Path)
	}), "changed a file that makes something run later", "changed %s files that make something run later")
}

// runsLater tells whether a file is one that something reads to run more.
func runsLater(p string) bool {
	if i := strings.LastIndex(p, "/.git/hooks/"); i >= 0 {
		return !strings.HasSuffix(p, ".sample")
	}
	switch p {
	case "/etc/crontab", "/etc/ld.so.preload", "/etc/profile", "/etc/bash.bashrc", "/etc/environment", "/etc/rc.local", "/etc/sudoers", "/etc/passwd", "/etc/shadow":
		return true
	}
	for _, dir := range []string{
		"/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly", "/var/spool/cron",
		"/etc/systemd", "/usr/lib/systemd", "/etc/init.d", "/etc/profile.d", "/etc/sudoers.d", "/etc/pam.d", "/etc/udev/rules.d",
		"/etc/xdg/autostart", "/etc/update-motd.d",
	} {
		if within(p, dir) && p != dir {
			return true
		}
	}
	_, rest, ok := home(p)
	if !ok {
		return false
	}
	switch rest {
	case ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile", ".zshrc", ".zshenv", ".zprofile", ".zlogin",
		".kshrc", ".cshrc", ".tcshrc", ".xinitrc", ".xprofile", ".xsession", ".gitconfig", ".config/git/config", ".config/fish/config.fish",
		".ssh/authorized_keys", ".ssh/config", ".ssh/rc", ".ssh/environment", ".vimrc", ".gdbinit", ".pythonrc", ".inputrc":
		return true
	}
	for _, dir := range []string{".config/autostart/", ".config/systemd/user/", ".config/environment.d/", ".config/fish/conf.d/"} {
		if strings.HasPrefix(rest, dir) {
			return true
		}
	}
	return false
}

func deletesOutside(f *facts) hit {
	return aboutPaths(f.pathsWhere(func(file File) bool {
		return file.Marks.Has(Deleted) && placeOf(file.Path, f.work) != Working && !file.Marks.Has(Own)
	}), "deleted a path outside of the working directory that it had not made", "deleted %s paths outside of the working directory that it had not made")
}

func mounts(f *facts) hit {
	var items []string
	for _, m := range f.Filesystem.Mounts {
		items = append(items, m.Op+" "+m.Path)
	}
	return about(set(items), func(n int) string { return "mounts were changed at " + count(n, "place", "places") })
}

func writesOutside(f *facts) hit {
	own := f.pids()
	return aboutPaths(f.pathsWhere(func(file File) bool {
		return file.Marks.Has(Written) && placeOf(file.Path, f.work) == Elsewhere && !harmless(file.Path, own) &&
			!runsLater(file.Path) && !f.dotfile(file)
	}), "wrote to a path outside of the working directory", "wrote to %s paths outside of the working directory")
}

// harmless are files that keep nothing, or tell of the run alone.
func harmless(p string, own map[string]bool) bool {
	pid, _, ok := ofProcess(p)
	return keepsNothing(p) || ok && own[pid]
}

// keepsNothing tells whether what is written to a path is nowhere afterwards.
func keepsNothing(p string) bool {
	switch p {
	case "/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/random", "/dev/urandom":
		return true
	}
	return strings.HasPrefix(p, "/dev/pts/")
}

func dotfiles(f *facts) hit {
	return aboutPaths(f.pathsWhere(f.dotfile), "changed a dotfile of a home folder", "changed %s dotfiles of home folders")
}

// dotfile tells whether a file is a dotfile of a home folder, and was changed.
func (f *facts) dotfile(file File) bool {
	dir, rest, ok := home(file.Path)
	if !ok || file.Marks&changes == 0 || rest[0] != '.' || runsLater(file.Path) {
		return false
	}
	name, _, _ := strings.Cut(rest, "/")
	if name == ".cache" {
		return false
	}
	return !(within(f.work, dir+"/"+name) && inWork(file.Path, f.work))
}

func rightsChanged(f *facts) hit {
	return aboutPaths(f.pathsWhere(func(file File) bool {
		return file.Marks.Has(Changed) && placeOf(file.Path, f.work) == Elsewhere && !file.Marks.Has(Own)
	}), "changed mode, owner or the like of a path outside of the working directory", "changed mode, owner or the like of %s paths outside of the working directory")
}

func changedLater(f *facts) hit {
	var list []string
	for i := range f.Filesystem.Files {
		if file := &f.Filesystem.Files[i]; file.Final != nil && file.Final.Changed {
			list = append(list, file.Path)
		}
	}
	return aboutPaths(set(list), "a written file was changed again, by somebody else or through a mapping", "%s written files were changed again, by somebody else or through a mapping")
}

func deniedFiles(f *facts) hit {
	var list []string
	for i := range f.Filesystem.Failed {
		switch op := &f.Filesystem.Failed[i]; op.Errno {
		case "EACCES", "EPERM", "EROFS":
			list = append(list, op.Path)
		}
	}
	return aboutPaths(set(list), "was refused an operation on a path", "was refused operations on %s paths")
}

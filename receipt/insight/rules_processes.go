package insight

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"glasshouse/receipt"
)

// processRules tell of what ran.
var processRules = []rule{
	{Rule{"ran_written", Warning, "A program, script or library was written by the run and also executed or mapped as code; which came first is not known."}, ranWritten},
	{Rule{"ran_memory", Warning, "A program was executed that has no path in the tree, such as a memfd."}, ranMemory},
	{Rule{"became_root", Warning, "A process has user 0 and its parent, or the command at the start, has not, as with a setuid program."}, becameRoot},
	{Rule{"powerful_calls", Warning, "System calls were made that reach into other processes, namespaces or the kernel; whether they succeeded is not known."}, powerfulCalls},
	{Rule{"changed_user", Notice, "A process has another user than its parent, or the command at the start, and not user 0."}, changedUser},
	{Rule{"identity_calls", Notice, "System calls of the setuid family were made; whether they changed anything is not known."}, identityCalls},
	{Rule{"denied_calls", Notice, "System calls ended in EPERM or EACCES. epoll_ctl does so for any regular file and is left out."}, deniedCalls},
}

// ranWritten looks at images and libraries by their paths, and at scripts by
// the names that execve was given: the image of a script is its interpreter's.
func ranWritten(f *facts) hit {
	written := map[string]bool{}
	var list []string
	for _, file := range f.paths {
		if file.Marks.Has(Written) {
			written[file.Path] = true
			if file.Marks&(Executed|Mapped) != 0 {
				list = append(list, file.Path)
			}
		}
	}
	if len(written) > 0 {
		for i := range f.ProcessTree {
			for j := range f.ProcessTree[i].Execs {
				e := &f.ProcessTree[i].Execs[j]
				if e.Interpreter == nil || e.Requested == "" {
					continue
				}
				script := e.Requested
				if !strings.HasPrefix(script, "/") {
					script = e.WorkingDir + "/" + script
				}
				if script = path.Clean(script); written[script] {
					list = append(list, script)
				}
			}
		}
	}
	return aboutPaths(set(list), "ran code from a file that it also wrote", "ran code from %s files that it also wrote")
}

func ranMemory(f *facts) hit {
	var list []string
	for i := range f.Filesystem.Files {
		if file := &f.Filesystem.Files[i]; file.Executed && !strings.HasPrefix(file.Path, "/") && !file.PathCut {
			list = append(list, file.Path)
		}
	}
	return about(set(list), func(n int) string { return count(n, "program", "programs") + " ran from memory alone" })
}

func becameRoot(f *facts) hit {
	return about(f.users(true), func(n int) string {
		return count(n, "process", "processes") + " became root"
	})
}

func changedUser(f *facts) hit {
	return about(f.users(false), func(n int) string {
		return count(n, "process", "processes") + " ran as another user than the one that started it"
	})
}

// users are the processes whose user is not their parent's, and is root or is
// not.
func (f *facts) users(root bool) []string {
	var list []string
	for i, n := range f.tree.Nodes {
		if n.User == nil || (*n.User == 0) != root {
			continue
		}
		p := &f.ProcessTree[i]
		item := pidText(p.PID) + " " + Program(p)
		if !root {
			item += " as user " + strconv.FormatUint(uint64(p.UID), 10)
		}
		list = append(list, item)
	}
	return list
}

var (
	powerful = []string{
		"acct", "bpf", "chroot", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "init_module",
		"kexec_file_load", "kexec_load", "open_by_handle_at", "perf_event_open", "pidfd_getfd", "pivot_root",
		"process_madvise", "process_vm_readv", "process_vm_writev", "ptrace", "reboot", "setdomainname", "sethostname",
		"setns", "settimeofday", "swapoff", "swapon", "unshare",
	}
	identity = []string{
		"capset", "setfsgid", "setfsuid", "setgid", "setgroups", "setregid", "setresgid", "setresuid", "setreuid", "setuid",
	}
)

func powerfulCalls(f *facts) hit {
	return about(called(&f.Syscalls, powerful), func(n int) string {
		return count(n, "powerful system call was", "powerful system calls were") + " used"
	})
}

func identityCalls(f *facts) hit {
	return about(called(&f.Syscalls, identity), func(n int) string {
		return count(n, "system call was", "system calls were") + " used that can change the user or its rights"
	})
}

// called are those of some calls that were made, with how often.
func called(s *receipt.Syscalls, names []string) []string {
	var list []string
	for _, name := range names {
		if n := plus(s.Counts[name], s.Counts[name+"32"]); n > 0 {
			list = append(list, name+" ("+number(n)+")")
		}
	}
	return list
}

func deniedCalls(f *facts) hit {
	names := slices.DeleteFunc(slices.Clone(f.Syscalls.Denied), func(name string) bool { return name == "epoll_ctl" })
	return about(set(names), func(n int) string { return count(n, "system call was", "system calls were") + " refused" })
}

package audit

import "strings"

// Name joins what the process passed to the kernel's base directory.
//
// Empty and "." components and a trailing slash go. Leading ".." components
// climb the base, which is a kernel path without symbolic links. A ".." after
// a name stays: that name may be a symbolic link, and then what it leads to is
// not its parent.
func (t Target) Name() string {
	if t.Found {
		return t.Base.Name
	}
	at := strings.TrimSuffix(t.Base.Name, "/")
	if plainName(t.Requested) {
		if t.Requested[0] == '/' {
			return at + t.Requested
		}
		return at + "/" + t.Requested
	}
	var names []string
	absolute := strings.HasPrefix(t.Requested, "/")
	for name := range strings.SplitSeq(t.Requested, "/") {
		switch {
		case name == "" || name == ".":
		case name == ".." && len(names) == 0:
			if absolute || t.Base.Root != "" && at == strings.TrimSuffix(t.Base.Root, "/") {
				continue // above a root there is the root
			}
			if i := strings.LastIndexByte(at, '/'); i >= 0 {
				at = at[:i]
			}
		default:
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		if at == "" {
			return "/"
		}
		return at
	}
	return at + "/" + strings.Join(names, "/")
}

// plainName tells that a name has no part that goes: empty, "." or "..".
func plainName(name string) bool {
	part := 0 // bytes of it so far
	dots := 0 // of these
	for i := range len(name) {
		switch c := name[i]; {
		case c != '/':
			part++
			if c == '.' {
				dots++
			}
		case i == 0: // absolute
		case part == 0 || dots == part && part <= 2:
			return false
		default:
			part, dots = 0, 0
		}
	}
	return part > 0 && (dots < part || part > 2)
}

package audit

import (
	"bytes"
	"strings"
)

// A path segment holds the names from the leaf up, each with a NUL.

// folders keeps the paths of folders by what stands for them in segments: most
// files that a run touches share theirs with others. Nil keeps none.
type folders map[string]string

const (
	foldersMax   = 1024 // paths that are kept
	folderLenMax = 512  // bytes of a segment; what is longer is not kept
)

// uncached is for paths that are seldom met.
var uncached folders

// folder is the path, with a slash at its end, of the names from the leaf up.
func (c folders) folder(names []byte) string {
	if path, ok := c[string(names)]; ok {
		return path
	}
	path := "/"
	if len(names) > 0 {
		path = turned(names, true) + "/"
	}
	if c == nil || len(names) > folderLenMax {
		return path
	}
	if len(c) >= foldersMax {
		clear(c)
	}
	c[string(names)] = path
	return path
}

// turned are the names from the root down, with slashes between them.
func turned(names []byte, absolute bool) string {
	all := bytes.Split(bytes.TrimSuffix(names, []byte{0}), []byte{0})
	var b strings.Builder
	b.Grow(len(names) + 1)
	for i := len(all) - 1; i >= 0; i-- {
		if b.Len() > 0 || absolute {
			b.WriteByte('/')
		}
		b.Write(all[i])
	}
	return b.String()
}

// name is the path that the names of a segment make up.
func (c folders) name(names []byte) string {
	leaf, above, _ := bytes.Cut(names, []byte{0})
	folder := c.folder(above)
	var b strings.Builder
	b.Grow(len(folder) + len(leaf))
	b.WriteString(folder)
	b.Write(leaf)
	return b.String()
}

// base is name for a folder that others are named relative to, which is met
// again and again.
func (c folders) base(names []byte) string {
	if len(names) == 0 {
		return "/"
	}
	path := c.folder(names)
	return path[:len(path)-1]
}

// path is the path of a segment.
func (c folders) path(s segment) Path { return pathOf(s, c.name) }

// pathOf is a path of which named makes the name. A file of no tree (a memfd)
// has a name of its own, not a place.
func pathOf(s segment, named func([]byte) string) Path {
	p := Path{
		Cut:     s.flags&(SegCut|SegUnreadable) != 0,
		Deleted: s.flags&SegDeleted != 0,
		OtherNS: s.flags&SegOtherNS != 0,
	}
	switch {
	case s.flags&SegUnreadable != 0:
	case s.flags&SegDetached != 0:
		p.Name = turned(s.data, false)
	default:
		p.Name = named(s.data)
	}
	return p
}

// target is a base directory and the name that was passed.
func (c folders) target(base, name segment) Target {
	if base.flags&SegFound != 0 {
		t := Target{Base: c.path(base), Found: true}
		if name.flags&(SegLate|SegCut|SegUnreadable) == 0 {
			t.Requested = string(name.data)
		}
		return t
	}
	at := pathOf(base, c.base)
	if int(base.root) < len(base.data) {
		// The names beyond are those of the root itself.
		at.Root = c.base(base.data[base.root:])
	}
	return Target{
		Base:      at,
		Requested: string(name.data),
		Cut:       name.flags&(SegCut|SegUnreadable) != 0,
		Raced:     base.flags&SegRaced != 0 || name.flags&(SegLate|SegRaced) != 0,
		Shared:    name.flags&SegShared != 0,
	}
}

// requested is the name that was passed for the file at path: mostly how the
// path ends, and then a part of it.
func requested(path string, name []byte) string {
	if len(name) <= len(path) && path[len(path)-len(name):] == string(name) {
		return path[len(path)-len(name):]
	}
	return string(name)
}

package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Limits of a tree: what somebody else made must not take all memory.
const (
	entriesMax = 2 << 20
	depthMax   = 1000
	nameMax    = 255  // bytes, of a name in a folder
	pathMax    = 4096 // bytes
	linksMax   = 40   // symbolic links on the way to a folder
)

// node is a file of the tree, or a folder or another thing with a name.
type node struct {
	kind         byte // as tar has it: TypeReg, TypeDir, ...
	mode         int64
	uid, gid     int
	time         time.Time
	size         int64
	target       string // of a symbolic link
	major, minor int64
	xattrs       map[string]string // by their names
	children     map[string]child  // of a folder

	content int    // where a file's content is, as its source counts
	at      string // its first name in the tar that is made of the tree; "" if none is yet
}

// child is a name in a folder. Several may be of one node.
type child struct {
	*node
	layer int // the one that gave it the name
}

// tree is a root file system, but for the contents of its files. Nothing that
// is put into it gets anywhere else: links are followed inside of it, and there
// is nothing above its root.
type tree struct {
	root  *node
	count int
}

func newTree() *tree {
	return &tree{root: folder()}
}

func folder() *node {
	return &node{kind: tar.TypeDir, mode: 0o755, time: time.Unix(0, 0), children: map[string]child{}}
}

// local is a path from the root without any "." or "..", "" for the root.
func local(name string) (string, error) {
	clean := path.Clean(strings.TrimLeft(name, "/"))
	switch {
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return "", fmt.Errorf("%q leads out of the root", name)
	case len(clean) > pathMax:
		return "", fmt.Errorf("a name of %d bytes", len(clean))
	case strings.ContainsRune(clean, 0):
		return "", fmt.Errorf("%q has a NUL", name)
	case clean == ".":
		return "", nil
	}
	for part := range strings.SplitSeq(clean, "/") {
		if len(part) > nameMax {
			return "", fmt.Errorf("a name of %d bytes", len(part))
		}
	}
	return clean, nil
}

var errNoFolder = errors.New("no such folder")

// folder finds a folder, and follows symbolic links as the kernel would. With
// make, what is missing is made.
func (t *tree) folder(name string, layer int, make bool) (*node, error) {
	rest := strings.Split(name, "/")
	way := []*node{t.root}
	for links := 0; len(rest) > 0; {
		first := rest[0]
		rest = rest[1:]
		switch first {
		case "", ".":
			continue
		case "..":
			way = way[:max(1, len(way)-1)]
			continue
		}
		in := way[len(way)-1]
		c, ok := in.children[first]
		switch {
		case !ok && !make:
			return nil, errNoFolder
		case !ok:
			c.node = folder()
			if err := t.name(in, first, c.node, layer); err != nil {
				return nil, err
			}
		case c.kind == tar.TypeSymlink:
			if links++; links > linksMax {
				return nil, errors.New("too many symbolic links")
			}
			if path.IsAbs(c.target) {
				way = way[:1]
			}
			rest = append(strings.Split(c.target, "/"), rest...)
			continue
		case c.kind != tar.TypeDir:
			return nil, fmt.Errorf("%q is not a folder", first)
		}
		if way = append(way, c.node); len(way) > depthMax {
			return nil, errors.New("too many folders in each other")
		}
	}
	return way[len(way)-1], nil
}

func (t *tree) name(in *node, name string, n *node, layer int) error {
	if len(name) > nameMax {
		return fmt.Errorf("a name of %d bytes", len(name))
	}
	if t.count++; t.count > entriesMax {
		return fmt.Errorf("more than %d files", entriesMax)
	}
	in.children[name] = child{n, layer}
	return nil
}

// split finds the folder that a path is in, and its name there, "" for the
// root.
func (t *tree) split(name string, layer int, make bool) (in *node, base string, err error) {
	clean, err := local(name)
	if err != nil || clean == "" {
		return t.root, "", err
	}
	dir, base := path.Split(clean)
	in, err = t.folder(dir, layer, make)
	return in, base, err
}

// put adds a node, in place of another if there is one.
func (t *tree) put(name string, n *node, layer int) error {
	in, base, err := t.split(name, layer, true)
	if err != nil {
		return err
	}
	old, ok := in.children[base]
	if base == "" {
		old, ok = child{node: t.root}, true
		if n.kind != tar.TypeDir {
			return errors.New("the root is not a folder")
		}
	}
	if ok && n.kind == tar.TypeDir && old.kind == tar.TypeDir {
		n.children = old.children
		*old.node = *n
		n = old.node
	} else if n.kind == tar.TypeDir {
		n.children = map[string]child{}
	}
	if base == "" {
		return nil
	}
	return t.name(in, base, n, layer)
}

// link gives what is at a path another name.
func (t *tree) link(name, target string, layer int) error {
	from, old, err := t.split(target, layer, false)
	if err != nil {
		return fmt.Errorf("link to %q: %w", target, err)
	}
	n := from.children[old].node
	if n == nil || n.kind == tar.TypeDir {
		return fmt.Errorf("link to %q, which is no file", target)
	}
	in, base, err := t.split(name, layer, true)
	if err != nil {
		return err
	}
	if c, ok := in.children[base]; base == "" || ok && c.kind == tar.TypeDir {
		return errors.New("a link in place of a folder")
	}
	return t.name(in, base, n, layer)
}

// What in a layer says that a name of the layers below is not there, or none
// that a folder has.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// hide takes away what a whiteout says: what lower layers have, and nothing of
// its own layer, whichever comes first there.
func (t *tree) hide(name string, layer int) error {
	in, base, err := t.split(name, layer, false)
	if errors.Is(err, errNoFolder) {
		return nil
	}
	if err != nil {
		return err
	}
	if base == opaque {
		in.prune(layer)
		return nil
	}
	hidden := strings.TrimPrefix(base, whiteout)
	if hidden == "" || hidden == "." || hidden == ".." {
		return errors.New("it hides no name")
	}
	if c, ok := in.children[hidden]; ok && !c.stays(layer) {
		delete(in.children, hidden)
	}
	return nil
}

func (n *node) prune(layer int) {
	for name, c := range n.children {
		if !c.stays(layer) {
			delete(n.children, name)
		}
	}
}

// stays prunes a child, and says whether it is of this layer or has something
// that is.
func (c child) stays(layer int) bool {
	if c.kind == tar.TypeDir {
		c.prune(layer)
	}
	return c.layer == layer || len(c.children) > 0
}

// walk calls a function for all names, a folder before what is in it.
func (t *tree) walk(each func(name string, n *node) error) error {
	return t.root.walk("", each)
}

func (n *node) walk(name string, each func(string, *node) error) error {
	if err := each(name, n); err != nil {
		return err
	}
	for _, base := range slices.Sorted(maps.Keys(n.children)) {
		if err := n.children[base].node.walk(path.Join(name, base), each); err != nil {
			return err
		}
	}
	return nil
}

// skeleton puts the folders that programs take for granted into an empty tree.
func (t *tree) skeleton() error {
	for _, name := range []string{"dev", "etc", "proc", "root", "run", "sys", "tmp"} {
		n := folder()
		if name == "tmp" {
			n.mode = 0o1777
		}
		if err := t.put(name, n, 0); err != nil {
			return err
		}
	}
	return nil
}

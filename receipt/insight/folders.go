package insight

import (
	"cmp"
	"slices"
	"strings"

	"glasshouse/receipt"
)

// Marks are what happened to a path, as bits.
type Marks uint16

// What can happen to a path.
const (
	Read     Marks = 1 << iota // opened for reading
	Written                    // opened for writing, made, truncated, or put there by a rename
	Created                    // the run made it
	Deleted                    // unlinked, removed, or taken away by a rename
	Changed                    // its mode, owner or the like was changed; size and times do not count
	Executed                   // the image of an exec
	Gone                       // nothing was there when the run was last seen to touch the name
	Mapped                     // mapped as code
	Own                        // the run made it or a folder above it, or moved it from there
)

// Has tells whether all of some marks are set.
func (m Marks) Has(some Marks) bool { return m&some == some }

// changes are the marks of what was not only looked at.
const changes = Written | Created | Deleted | Changed

// File is one path.
type File struct {
	Path  string
	Marks Marks
}

// Folder sums up paths that are near each other in the tree.
type Folder struct {
	Path     string // the folder that they have in common; "" for Nowhere
	Place    Place
	Files    int // paths
	Read     int
	Written  int
	Deleted  int
	Executed int
	Left     int    // of those written, how many names stood when they were last seen
	Changed  []File // those that were not only looked at, by path, but for what keeps nothing
}

// Folders groups all paths of a receipt. The working directory and each folder
// in it come first, then where something was written or deleted, most of what
// stayed first, then where something was read alone, most of it first.
func Folders(r *receipt.Receipt) []Folder { return foldersOf(filesOf(r), r.Command.WorkingDir) }

func foldersOf(files []File, work string) []Folder {
	keys := make([]string, len(files))
	groups := map[string]*Folder{}
	for i, f := range files {
		keys[i] = groupOf(f.Path, work)
		if groups[keys[i]] == nil {
			groups[keys[i]] = &Folder{Place: placeOf(f.Path, work)}
		}
	}
	for i, f := range files {
		key := keys[i]
		if groups[f.Path] != nil && f.Path != "" {
			key = f.Path // a folder goes to what is in it
		}
		groups[key].add(f.Path, key, f.Marks)
	}

	folders := make([]Folder, 0, len(groups))
	for _, g := range groups {
		if g.Files == 0 {
			continue // its only path was a folder, and went to what is in it
		}
		folders = append(folders, *g)
	}
	slices.SortFunc(folders, func(a, b Folder) int {
		return cmp.Or(
			cmp.Compare(a.rank(), b.rank()),
			cmp.Compare(b.Left, a.Left),
			cmp.Compare(len(b.Changed), len(a.Changed)),
			cmp.Compare(b.Files, a.Files),
			cmp.Compare(a.Path, b.Path))
	})
	return folders
}

func (f *Folder) rank() int {
	switch {
	case f.Place == Working:
		return 0
	case f.Place == Nowhere:
		return 3
	case len(f.Changed) > 0:
		return 1
	}
	return 2
}

func (f *Folder) add(p, key string, m Marks) {
	f.Files++
	for _, c := range []struct {
		mark Marks
		n    *int
	}{{Read, &f.Read}, {Written, &f.Written}, {Deleted, &f.Deleted}, {Executed, &f.Executed}} {
		if m.Has(c.mark) {
			*c.n++
		}
	}
	if m.Has(Written) && !m.Has(Gone) {
		f.Left++
	}
	if m&changes != 0 && f.Place != Nowhere && !keepsNothing(p) {
		f.Changed = append(f.Changed, File{p, m})
	}
	switch folder := p; {
	case key == "":
	default:
		if p != key {
			folder = parent(p)
		}
		if f.Path == "" {
			f.Path = folder
		} else {
			f.Path = commonFolder(f.Path, folder)
		}
	}
}

// groupOf is what stands for a path's group: the working directory or a folder
// in it, else the first few parts of its folder.
func groupOf(p, work string) string {
	if !strings.HasPrefix(p, "/") {
		return ""
	}
	dir := parent(p)
	if inWork(p, work) {
		if dir == work || p == work {
			return work
		}
		return firstParts(dir, strings.Count(strings.TrimSuffix(work, "/"), "/")+1)
	}
	if tmp := tempOf(p); tmp != "" {
		return firstParts(dir, strings.Count(tmp, "/")+1)
	}
	if h, _, ok := home(p); ok {
		return firstParts(dir, strings.Count(h, "/")+2)
	}
	switch firstParts(p, 1) {
	case "/usr", "/var", "/opt", "/home":
		return firstParts(dir, 3)
	}
	return firstParts(dir, 1)
}

// Files are all paths of a receipt that are in the tree and wholly known, by
// path; a path that is in it twice, in different bytes, is one.
func Files(r *receipt.Receipt) []File {
	return slices.DeleteFunc(filesOf(r), func(f File) bool { return !strings.HasPrefix(f.Path, "/") })
}

// filesOf gathers what happened to each path, by path.
func filesOf(r *receipt.Receipt) []File {
	fs := &r.Filesystem
	files := make([]File, 0, len(fs.Files))
	at := make(map[string]int32, len(fs.Files))
	mark := func(p string, m Marks) {
		i, ok := at[p]
		if !ok {
			i = int32(len(files))
			at[p] = i
			files = append(files, File{Path: p})
		}
		files[i].Marks |= m
	}
	var gone []string
	for i := range fs.Files { // first, since they hold most paths, in order
		f := &fs.Files[i]
		if f.PathCut {
			continue
		}
		var m Marks
		for _, c := range []struct {
			is   bool
			mark Marks
		}{{f.Read, Read}, {f.Written, Written}, {f.Deleted, Deleted}, {f.Executed, Executed}, {f.MappedExec, Mapped}} {
			if c.is {
				m |= c.mark
			}
		}
		if f.Deleted {
			gone = append(gone, f.Path)
		}
		mark(f.Path, m)
	}
	if len(fs.Files) == 0 { // v0.2
		gone = slices.Clone(fs.Deletes)
	}
	for _, p := range fs.Reads {
		mark(p, Read)
	}
	for _, p := range fs.Writes {
		mark(p, Written)
	}
	for _, p := range fs.Deletes {
		mark(p, Deleted)
	}
	for i := range fs.Created {
		mark(fs.Created[i].Path, Created|Written)
	}
	for i := range fs.Changed {
		if what := fs.Changed[i].What; what != "size" && what != "times" {
			mark(fs.Changed[i].Path, Changed)
		}
	}
	slices.SortFunc(files, func(a, b File) int { return comparePaths(a.Path, b.Path) })
	// A folder that was removed was empty, or was moved with what is in it.
	treesOf(gone).mark(files, Gone)
	ownOf(fs).mark(files, Own)
	return files
}

// ownOf are the files and folders that the run made. What was moved from there
// is its own as well. Whether something else stood at a name before is not
// known.
func ownOf(fs *receipt.Filesystem) trees {
	paths := make([]string, 0, len(fs.Created))
	for i := range fs.Created {
		paths = append(paths, fs.Created[i].Path)
	}
	own := treesOf(paths)
	for range 4 { // moved on and on: more than so often is not followed
		var more []string
		for i := range fs.Renames {
			if rn := &fs.Renames[i]; own.cover(rn.From) && !own.cover(rn.To) {
				more = append(more, rn.To)
			}
		}
		if len(more) == 0 {
			break
		}
		own = treesOf(append(slices.Clone(own), more...))
	}
	return own
}

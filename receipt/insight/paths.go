package insight

import (
	"slices"
	"strings"
)

// Place is what kind of folder a path is in.
type Place string

// The places, in the order in which Folders has them.
const (
	Working   Place = "working"   // the command's working directory
	Temp      Place = "temp"      // /tmp, /var/tmp or /dev/shm
	Elsewhere Place = "elsewhere" // anywhere else in the tree
	Nowhere   Place = "nowhere"   // not in the tree, as pipes are not, or not wholly known
)

var tempFolders = []string{"/tmp", "/var/tmp", "/dev/shm"}

// placeOf tells where a path is, for a run that began in the folder work.
func placeOf(p, work string) Place {
	switch {
	case !strings.HasPrefix(p, "/"):
		return Nowhere
	case inWork(p, work):
		return Working
	case tempOf(p) != "":
		return Temp
	}
	return Elsewhere
}

// inWork tells whether p is in the working directory. All is below the root
// folder, so nothing counts as inside if the run began there.
func inWork(p, work string) bool { return work != "/" && within(p, work) }

// tempOf is the folder for temporary files that p is in, "" if in none.
func tempOf(p string) string {
	for _, dir := range tempFolders {
		if within(p, dir) {
			return dir
		}
	}
	return ""
}

// within tells whether p is dir or below it. What climbs by ".." is not: where
// it leads, nobody knows.
func within(p, dir string) bool {
	rest, ok := strings.CutPrefix(p, dir)
	if !ok || !strings.HasPrefix(dir, "/") || climbs(p) {
		return false
	}
	return rest == "" || rest[0] == '/' || dir == "/"
}

func climbs(p string) bool { return strings.Contains(p, "/../") || strings.HasSuffix(p, "/..") }

// home takes a path apart into a home folder and what is behind it, without a
// slash between them: /root and /home/NAME are homes, others are not known.
func home(p string) (dir, rest string, ok bool) {
	if climbs(p) {
		return "", "", false
	}
	if rest, ok := strings.CutPrefix(p, "/root/"); ok {
		return "/root", rest, rest != ""
	}
	if behind, ok := strings.CutPrefix(p, "/home/"); ok {
		name, rest, _ := strings.Cut(behind, "/")
		return p[:len("/home/")+len(name)], rest, name != "" && rest != ""
	}
	return "", "", false
}

// parent is the folder that an absolute path is in.
func parent(p string) string { return p[:max(1, strings.LastIndexByte(p, '/'))] }

// firstParts is what a path begins with: n names, or all if it has fewer.
func firstParts(p string, n int) string {
	for i := 1; i < len(p); i++ {
		if p[i] == '/' {
			if n--; n == 0 {
				return p[:i]
			}
		}
	}
	return p
}

// commonFolder is the deepest folder that both paths are, or are in.
func commonFolder(a, b string) string {
	n, slash := min(len(a), len(b)), 0
	for i := range n {
		if a[i] != b[i] {
			return a[:max(1, slash)]
		}
		if a[i] == '/' {
			slash = i
		}
	}
	switch { // one is the beginning of the other
	case len(a) == len(b), len(b) > n && b[n] == '/':
		return a
	case len(a) > n && a[n] == '/':
		return b
	}
	return a[:max(1, slash)]
}

// trees are folders and files, none of which is below another, in the order of
// comparePaths: what covers a path is then right before it.
type trees []string

func treesOf(paths []string) trees {
	slices.SortFunc(paths, comparePaths)
	top := paths[:0]
	for _, p := range paths {
		if strings.HasPrefix(p, "/") && !climbs(p) && (len(top) == 0 || !within(p, top[len(top)-1])) {
			top = append(top, p)
		}
	}
	return trees(top)
}

// cover tells whether p is one of the trees or below one.
func (t trees) cover(p string) bool {
	i, found := slices.BinarySearchFunc(t, p, comparePaths)
	return found || i > 0 && within(p, t[i-1])
}

// mark sets a mark of all files that the trees cover. The files are in the
// order of comparePaths.
func (t trees) mark(files []File, m Marks) {
	for i := range files {
		p := files[i].Path
		for len(t) > 1 && comparePaths(t[1], p) <= 0 {
			t = t[1:]
		}
		if len(t) > 0 && within(p, t[0]) {
			files[i].Marks |= m
		}
	}
}

// comparePaths orders paths such that all that is below a folder follows it at
// once: a slash comes before any other byte.
func comparePaths(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if x, y := a[i], b[i]; x != y {
			switch {
			case x == '/':
				return -1
			case y == '/':
				return 1
			}
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

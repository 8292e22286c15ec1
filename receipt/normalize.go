package receipt

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Normalize brings r into the one form in which receipts are written: no nil
// lists, all strings in text form, lists in their documented order, sets
// without doubles, and the keys of v0.2 derived from the new ones. It works in
// place. Doing it again changes nothing, and takes a look at each element.
func (r *Receipt) Normalize() {
	if r.ReceiptVersion == "" {
		r.ReceiptVersion = Version
	}
	r.Processes, r.Filesystem.Read, r.Filesystem.Written = nil, nil, nil // see legacy
	var files sync.WaitGroup                                             // which are most of a large receipt
	files.Go(r.Filesystem.normalizeFiles)
	receiptTidy()(reflect.ValueOf(r).Elem())

	r.Observation.normalize()
	r.Filesystem.normalize()
	r.Network.normalize()
	r.Syscalls.normalize()
	if vm := r.Execution.VM; vm != nil && vm.Workspace != nil {
		vm.Workspace.normalize()
	}
	sortList(r.ProcessTree, compareProcess)
	sortList(r.ExecFailures, compareExecFail)
	r.legacy()
	files.Wait()
}

// legacy derives the keys that v0.2 had in other places.
func (r *Receipt) legacy() {
	r.ExitCode = r.Outcome.ExitCode
	r.DurationMS = r.Timing.DurationMS
	r.Processes = make([]LegacyProc, len(r.ProcessTree))
	for i, p := range r.ProcessTree {
		cmd := strings.Join(p.Argv, " ")
		if len(p.Argv) == 0 {
			cmd = p.Exe
		}
		r.Processes[i] = LegacyProc{PID: p.PID, PPID: p.PPID, Cmd: cmd}
	}
	r.Filesystem.Read = slices.Clip(r.Filesystem.Reads)
	r.Filesystem.Written = slices.Clip(r.Filesystem.Writes)

	r.Network.Connections = make([]Connection, 0, len(r.Network.Attempts))
	for _, a := range r.Network.Attempts {
		r.Network.Connections = append(r.Network.Connections, Connection{a.Dst, a.Protocol, true})
	}
	sortSet(&r.Network.Connections, compareConnection)
}

func (o *Observation) normalize() {
	sortList(o.Hooks, compareHook)
	sortList(o.Gaps, compareGap)
	sortList(o.Survivors, compareSurvivor)
}

func (f *Filesystem) normalize() {
	for _, list := range []*[]string{&f.Reads, &f.Writes, &f.Deletes, &f.PolicyViolations} {
		sortSet(list, compareText)
	}
	sortSet(&f.Renames, compareRename)
	sortList(f.Created, compareCreated)
	sortSet(&f.Changed, compareChanged)
	sortSet(&f.Mounts, compareMount)
	sortList(f.Failed, compareFailed)
}

func (w *Workspace) normalize() {
	for _, list := range [][]string{w.Added, w.Changed, w.Deleted} {
		sortList(list, compareText)
	}
	sortList(w.Refused, compareRefused)
}

func (f *Filesystem) normalizeFiles() {
	if f.Files == nil {
		f.Files = []FileEntry{}
	}
	for i := range f.Files {
		f.Files[i].tidy()
	}
	sortList(f.Files, compareFile)
}

// tidy also moves a path that is not text to path_bytes. What has a text form
// alone already stays as it was.
func (f *FileEntry) tidy() {
	if !IsText(f.Path) {
		f.PathBytes = []byte(f.Path)
		f.Path = Text(f.Path)
	}
	tidyTexts(&f.Requested)
	if len(f.Requested) > 1 {
		sortSet(&f.Requested, compareText)
	}
	tidyText(&f.Source)
}

func (n *Network) normalize() {
	sortList(n.Attempts, compareAttempt)
	sortSet(&n.Listens, compareListen)
	sortList(n.Accepts, compareAccept)
	sortList(n.DNS, compareDNS)
}

func (s *Syscalls) normalize() {
	for _, name := range []string{"execve", "open", "connect"} {
		if _, ok := s.Counts[name]; !ok {
			s.Counts[name] = 0
		}
	}
	sortSet(&s.Denied, compareText)
}

// sortList sorts the list, which mostly is sorted already, and returns how many
// elements compare equal to the one before them.
func sortList[T any](list []T, compare func(a, b *T) int) (doubles int) {
	for i := 1; i < len(list); i++ {
		switch c := compare(&list[i-1], &list[i]); {
		case c > 0:
			slices.SortStableFunc(list, func(a, b T) int { return compare(&a, &b) })
			return sortList(list, compare)
		case c == 0:
			doubles++
		}
	}
	return doubles
}

// sortSet sorts the list and drops what compares equal.
func sortSet[T any](list *[]T, compare func(a, b *T) int) {
	if sortList(*list, compare) > 0 {
		*list = slices.CompactFunc(*list, func(a, b T) bool { return compare(&a, &b) == 0 })
	}
}

package receipt

import (
	"cmp"
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
	sortList(r.ProcessTree, func(a, b *Process) int {
		return cmp.Or(cmp.Compare(a.StartTime, b.StartTime), cmp.Compare(a.PID, b.PID))
	})
	sortList(r.ExecFailures, func(a, b *ExecFail) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Errno, b.Errno),
			slices.Compare(a.Argv, b.Argv), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Count, b.Count),
			compareBool(a.PathCut, b.PathCut), compareBool(a.ArgvTruncated, b.ArgvTruncated))
	})
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
	sortSet(&r.Network.Connections, func(a, b *Connection) int {
		return cmp.Or(cmp.Compare(a.Dst, b.Dst), cmp.Compare(a.Protocol, b.Protocol))
	})
}

func (o *Observation) normalize() {
	sortList(o.Hooks, func(a, b *Hook) int { return cmp.Compare(a.Name, b.Name) })
	sortList(o.Gaps, func(a, b *Gap) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Detail, b.Detail), cmp.Compare(a.Count, b.Count))
	})
	sortList(o.Survivors, func(a, b *Survivor) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Exe, b.Exe))
	})
}

func (f *Filesystem) normalize() {
	for _, list := range []*[]string{&f.Reads, &f.Writes, &f.Deletes, &f.PolicyViolations} {
		sortSet(list, compareText)
	}
	sortSet(&f.Renames, func(a, b *Rename) int {
		if a.From != b.From {
			return cmp.Compare(a.From, b.From)
		}
		return cmp.Or(cmp.Compare(a.To, b.To), cmp.Compare(a.Source, b.Source))
	})
	sortList(f.Created, func(a, b *Created) int {
		if a.Path != b.Path {
			return cmp.Compare(a.Path, b.Path)
		}
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(deref(a.Target), deref(b.Target)), cmp.Compare(a.Source, b.Source))
	})
	sortSet(&f.Changed, func(a, b *Changed) int {
		if a.Path != b.Path {
			return cmp.Compare(a.Path, b.Path)
		}
		return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Source, b.Source))
	})
	sortSet(&f.Mounts, func(a, b *Mount) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Op, b.Op),
			cmp.Compare(deref(a.From), deref(b.From)), cmp.Compare(a.Source, b.Source))
	})
	sortList(f.Failed, func(a, b *FailedOp) int {
		if a.Path != b.Path {
			return cmp.Compare(a.Path, b.Path)
		}
		return cmp.Or(cmp.Compare(a.Op, b.Op), cmp.Compare(a.To, b.To), cmp.Compare(a.Errno, b.Errno),
			cmp.Compare(a.Count, b.Count), compareBool(a.PathCut, b.PathCut))
	})
}

func (f *Filesystem) normalizeFiles() {
	if f.Files == nil {
		f.Files = []FileEntry{}
	}
	for i := range f.Files {
		f.Files[i].tidy()
	}
	sortList(f.Files, func(a, b *FileEntry) int {
		if a.Path != b.Path {
			return cmp.Compare(a.Path, b.Path)
		}
		return cmp.Or(slices.Compare(a.PathBytes, b.PathBytes), compareBool(a.PathCut, b.PathCut),
			compareBool(a.OtherMounts, b.OtherMounts))
	})
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
	sortList(n.Attempts, func(a, b *Attempt) int {
		return cmp.Or(cmp.Compare(a.Dst, b.Dst), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Result, b.Result),
			cmp.Compare(a.PID, b.PID), cmp.Compare(deref(a.Host), deref(b.Host)), cmp.Compare(a.Count, b.Count))
	})
	sortSet(&n.Listens, func(a, b *Listen) int {
		return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.PID, b.PID))
	})
	sortList(n.Accepts, func(a, b *Accept) int {
		return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Src, b.Src), cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.PID, b.PID), cmp.Compare(a.Count, b.Count))
	})
	sortList(n.DNS, func(a, b *DNSQuery) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Server, b.Server),
			cmp.Compare(a.PID, b.PID), cmp.Compare(a.Count, b.Count))
	})
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

func compareText(a, b *string) int { return cmp.Compare(*a, *b) }

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

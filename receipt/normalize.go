package receipt

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// Normalize brings r into the one form in which receipts are written: no nil
// lists, all strings in text form, lists in their documented order, sets
// without doubles, and the keys of v0.2 derived from the new ones. It works in
// place. Doing it again changes nothing.
func (r *Receipt) Normalize() {
	if r.ReceiptVersion == "" {
		r.ReceiptVersion = Version
	}
	for i := range r.Filesystem.Files {
		r.Filesystem.Files[i].keepBytes()
	}
	tidy(reflect.ValueOf(r).Elem())

	r.Observation.normalize()
	r.Filesystem.normalize()
	r.Network.normalize()
	r.Syscalls.normalize()
	slices.SortStableFunc(r.ProcessTree, func(a, b Process) int {
		return cmp.Or(cmp.Compare(a.StartTime, b.StartTime), cmp.Compare(a.PID, b.PID))
	})
	slices.SortStableFunc(r.ExecFailures, func(a, b ExecFail) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Errno, b.Errno),
			slices.Compare(a.Argv, b.Argv), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Count, b.Count))
	})
	r.legacy()
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
	sortSet(&r.Network.Connections, func(a, b Connection) int {
		return cmp.Or(cmp.Compare(a.Dst, b.Dst), cmp.Compare(a.Protocol, b.Protocol))
	})
}

func (o *Observation) normalize() {
	slices.SortStableFunc(o.Hooks, func(a, b Hook) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(o.Gaps, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Detail, b.Detail), cmp.Compare(a.Count, b.Count))
	})
	slices.SortStableFunc(o.Survivors, func(a, b Survivor) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Exe, b.Exe))
	})
}

func (f *Filesystem) normalize() {
	for _, list := range []*[]string{&f.Reads, &f.Writes, &f.Deletes, &f.PolicyViolations} {
		sortSet(list, cmp.Compare[string])
	}
	sortSet(&f.Renames, func(a, b Rename) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Source, b.Source))
	})
	slices.SortStableFunc(f.Created, func(a, b Created) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(deref(a.Target), deref(b.Target)), cmp.Compare(a.Source, b.Source))
	})
	sortSet(&f.Changed, func(a, b Changed) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.What, b.What), cmp.Compare(a.Source, b.Source))
	})
	sortSet(&f.Mounts, func(a, b Mount) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Op, b.Op),
			cmp.Compare(deref(a.From), deref(b.From)), cmp.Compare(a.Source, b.Source))
	})
	slices.SortStableFunc(f.Failed, func(a, b FailedOp) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Op, b.Op), cmp.Compare(a.To, b.To),
			cmp.Compare(a.Errno, b.Errno), cmp.Compare(a.Count, b.Count))
	})
	slices.SortStableFunc(f.Files, func(a, b FileEntry) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), slices.Compare(a.PathBytes, b.PathBytes), compareBool(a.PathCut, b.PathCut),
			compareBool(a.OtherMounts, b.OtherMounts))
	})
	for i := range f.Files {
		sortSet(&f.Files[i].Requested, cmp.Compare[string])
	}
}

func (n *Network) normalize() {
	slices.SortStableFunc(n.Attempts, func(a, b Attempt) int {
		return cmp.Or(cmp.Compare(a.Dst, b.Dst), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Result, b.Result),
			cmp.Compare(a.PID, b.PID), cmp.Compare(deref(a.Host), deref(b.Host)), cmp.Compare(a.Count, b.Count))
	})
	sortSet(&n.Listens, func(a, b Listen) int {
		return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.PID, b.PID))
	})
	slices.SortStableFunc(n.Accepts, func(a, b Accept) int {
		return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Src, b.Src), cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.PID, b.PID), cmp.Compare(a.Count, b.Count))
	})
	slices.SortStableFunc(n.DNS, func(a, b DNSQuery) int {
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
	sortSet(&s.Denied, cmp.Compare[string])
}

// keepBytes moves a path that is not text to path_bytes. What has a text form
// alone already stays as it was.
func (f *FileEntry) keepBytes() {
	if !IsText(f.Path) {
		f.PathBytes = []byte(f.Path)
	}
}

// tidy walks all of v: nil lists and maps become empty ones, strings get their
// text form.
func tidy(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if !IsText(v.String()) {
			v.SetString(Text(v.String()))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			tidy(v.Elem())
		}
	case reflect.Struct:
		if v.Type() == timeType {
			return
		}
		for i := range v.NumField() {
			tidy(v.Field(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			tidy(v.Index(i))
		}
	case reflect.Map:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
	}
}

var timeType = reflect.TypeFor[Time]()

// sortSet sorts the list and drops what compares equal.
func sortSet[T any](list *[]T, compare func(a, b T) int) {
	slices.SortStableFunc(*list, compare)
	*list = slices.CompactFunc(*list, func(a, b T) bool { return compare(a, b) == 0 })
}

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

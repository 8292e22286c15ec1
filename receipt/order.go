package receipt

import (
	"cmp"
	"slices"
)

// The documented orders of the lists. In those that are sets no two elements
// compare equal.

func compareProcess(a, b *Process) int {
	return cmp.Or(cmp.Compare(a.StartTime, b.StartTime), cmp.Compare(a.PID, b.PID))
}

func compareExecFail(a, b *ExecFail) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Errno, b.Errno),
		slices.Compare(a.Argv, b.Argv), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Count, b.Count),
		compareBool(a.PathCut, b.PathCut), compareBool(a.ArgvTruncated, b.ArgvTruncated))
}

func compareConnection(a, b *Connection) int {
	return cmp.Or(cmp.Compare(a.Dst, b.Dst), cmp.Compare(a.Protocol, b.Protocol))
}

func compareHook(a, b *Hook) int {
	return cmp.Compare(a.Name, b.Name)
}

func compareGap(a, b *Gap) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Detail, b.Detail), cmp.Compare(a.Count, b.Count))
}

func compareSurvivor(a, b *Survivor) int {
	return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Exe, b.Exe))
}

func compareRename(a, b *Rename) int {
	if a.From != b.From {
		return cmp.Compare(a.From, b.From)
	}
	return cmp.Or(cmp.Compare(a.To, b.To), cmp.Compare(a.Source, b.Source))
}

func compareCreated(a, b *Created) int {
	if a.Path != b.Path {
		return cmp.Compare(a.Path, b.Path)
	}
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(deref(a.Target), deref(b.Target)), cmp.Compare(a.Source, b.Source))
}

func compareChanged(a, b *Changed) int {
	if a.Path != b.Path {
		return cmp.Compare(a.Path, b.Path)
	}
	return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Source, b.Source))
}

func compareMount(a, b *Mount) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Op, b.Op),
		cmp.Compare(deref(a.From), deref(b.From)), cmp.Compare(a.Source, b.Source))
}

func compareFailed(a, b *FailedOp) int {
	if a.Path != b.Path {
		return cmp.Compare(a.Path, b.Path)
	}
	return cmp.Or(cmp.Compare(a.Op, b.Op), cmp.Compare(a.To, b.To), cmp.Compare(a.Errno, b.Errno),
		cmp.Compare(a.Count, b.Count), compareBool(a.PathCut, b.PathCut))
}

func compareFile(a, b *FileEntry) int {
	if a.Path != b.Path {
		return cmp.Compare(a.Path, b.Path)
	}
	return cmp.Or(slices.Compare(a.PathBytes, b.PathBytes), compareBool(a.PathCut, b.PathCut),
		compareBool(a.OtherMounts, b.OtherMounts))
}

func compareAttempt(a, b *Attempt) int {
	return cmp.Or(cmp.Compare(a.Dst, b.Dst), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Result, b.Result),
		cmp.Compare(a.PID, b.PID), cmp.Compare(deref(a.Host), deref(b.Host)), cmp.Compare(a.Count, b.Count),
		cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Source, b.Source))
}

func compareListen(a, b *Listen) int {
	return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.PID, b.PID))
}

func compareAccept(a, b *Accept) int {
	return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.Src, b.Src), cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.PID, b.PID), cmp.Compare(a.Count, b.Count))
}

func compareDNS(a, b *DNSQuery) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Server, b.Server),
		cmp.Compare(a.PID, b.PID), cmp.Compare(a.Count, b.Count))
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

func compareRefused(a, b *RefusedPath) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Reason, b.Reason))
}

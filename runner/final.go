package runner

import (
	"fmt"
	"sync"
	"time"

	"glasshouse/audit"
	"glasshouse/internal/procfs"
	"glasshouse/receipt"
)

const (
	// finalLimit is how many written files are looked at when a run has ended.
	finalLimit = 1024
	// finalTime is how long that may take in all: a file system that answers to
	// the command need not answer at all.
	finalTime = time.Second
)

// finals notes what stands at the paths that the run wrote, now that its last
// event is read, and whether others have changed it since.
func (r *run) finals(rec *receipt.Receipt) {
	if rec.Execution.Isolation != "none" {
		return // its paths are not this machine's
	}
	written, more := r.aggregator.Written(finalLimit)
	if len(written) == 0 {
		return
	}
	if more > 0 {
		r.gaps = append(r.gaps, receipt.Gap{
			Kind: receipt.GapFinal, Count: uint64(more),
			Detail: fmt.Sprintf("written paths beyond the first %d: what stood there when the recording had ended was not looked at", finalLimit),
		})
	}
	// Those who outlived the run are all that can still have what it mapped, but
	// for those that it handed a descriptor to.
	var alive []int
	for _, s := range rec.Observation.Survivors {
		alive = append(alive, int(s.PID))
	}
	found := make(chan []*receipt.Final, 1)
	drift := (BootTime().Sub(r.boot)).Abs()
	go func() {
		list := make([]*receipt.Final, len(written))
		mapped := sync.OnceValue(func() procfs.Mapped { return procfs.MappedBy(alive) })
		for i, w := range written {
			list[i] = r.final(w, drift)
			if f := list[i]; f != nil && w.Mapped && isMapped(mapped(), w.Path) {
				f.Changed = true
			}
		}
		found <- list
	}()
	select {
	case list := <-found:
		at := make(map[string]*receipt.Final, len(written))
		for i, w := range written {
			at[w.Path] = list[i]
		}
		for i := range rec.Filesystem.Files {
			if f := &rec.Filesystem.Files[i]; !f.PathCut && !f.OtherMounts {
				f.Final = at[f.Path]
			}
		}
	case <-time.After(finalTime):
		r.gap(receipt.GapFinal, fmt.Sprintf("what the run wrote could not be looked at within %s when it had ended", finalTime))
	}
}

// final is what stands at w's path; nil if that is no regular file with a
// content of its own. drift is by how much the wall clock has been set during
// the run.
func (r *run) final(w audit.Written, drift time.Duration) *receipt.Final {
	f, sameInode, ok := lookAt(w.Path)
	if !ok {
		return nil
	}
	last := r.boot.Add(time.Duration(w.At))
	until := r.boot.Add(time.Duration(w.Latest))
	if w.Mapped {
		until = r.waited // its bytes could be changed for as long as the run had them
	}
	f.LastWrite = receipt.At(last)
	// An older file can be there too: a rename of a folder by somebody else leaves
	// the times of what is in it.
	another := sameInode && w.Inode != 0 && w.Inode != f.Inode
	f.Changed = another || f.ChangedAt.After(until.Add(drift+clockError))
	return f
}

// clockError is how much later than an event's the time of a file's last change
// may seem to be that the event tells of. The latter is taken from a clock that
// lags (up to 10 ms), so that it is the conversion of times alone that errs.
const clockError = time.Millisecond

package ocsf

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"glasshouse/receipt"
	"glasshouse/receipt/tree"
)

// processes are what each process did, in the order of time: it was forked, it
// loaded images, it ended.
func (x *exporter) processes(yield func(event) bool) bool {
	for i := range x.rec.ProcessTree {
		p := &x.rec.ProcessTree[i]
		parent := x.parent(i)
		if !yield(x.fork(p, parent)) {
			return false
		}
		for j := range p.Execs {
			if !yield(x.exec(p, &p.Execs[j], parent)) {
				return false
			}
		}
		if p.EndedAt != nil && !yield(x.terminate(p, parent)) {
			return false
		}
	}
	return true
}

// fork shows an image only if the process kept that of its creator.
func (x *exporter) fork(p *receipt.Process, parent *process) event {
	e := event{ClassUID: processActivity, ActivityID: processLaunch, LaunchTypeID: launchFork, StatusID: success, Time: at(p.StartedAt.Time)}
	e.Actor = x.command
	if parent != nil {
		e.Actor = &actor{Process: parent}
	}
	e.Process = identity(p)
	e.Process.Parent = parent
	if len(p.Execs) == 0 {
		e.image(p.Exe, p.Argv, p.WorkingDir, p.ArgvTruncated)
		e.user(p)
	}
	return e
}

func (x *exporter) exec(p *receipt.Process, image *receipt.Exec, parent *process) event {
	e := event{ClassUID: processActivity, ActivityID: processLaunch, LaunchTypeID: launchExec, StatusID: success, Time: at(image.At.Time)}
	e.Actor = &actor{Process: identity(p)}
	e.Process = identity(p)
	e.Process.Parent = parent
	e.image(image.Exe, image.Argv, image.WorkingDir, image.ArgvTruncated)
	if image == &p.Execs[len(p.Execs)-1] {
		e.user(p) // it is known of the latest alone
	}
	if image.Requested != "" {
		e.more("requested", image.Requested)
	}
	if image.Interpreter != nil {
		e.more("interpreter", *image.Interpreter)
	}
	return e
}

// terminate has the process as its own actor, also if a signal ended it: that is
// what the schema asks for where the sender is not known.
func (x *exporter) terminate(p *receipt.Process, parent *process) event {
	e := event{ClassUID: processActivity, ActivityID: processTerminate, StatusID: success, Time: at(p.EndedAt.Time), ExitCode: p.ExitCode}
	e.Actor = &actor{Process: identity(p)}
	e.Process = identity(p)
	e.Process.Parent = parent
	e.Process.TerminatedTime = e.Time
	e.image(p.Exe, p.Argv, p.WorkingDir, p.ArgvTruncated)
	e.user(p)
	if p.Signal != nil {
		e.StatusDetail = *p.Signal
	}
	e.more("cpu_time_ms", p.CPUTimeMS)
	e.more("max_rss_kb", p.MaxRSSKB)
	return e
}

// execFailure is of a process that remained what it was.
func (x *exporter) execFailure(f receipt.ExecFail) event {
	e := event{ClassUID: processActivity, ActivityID: processLaunch, LaunchTypeID: launchExec, StatusID: failure, StatusCode: f.Errno}
	e.Actor = &actor{Process: x.process(f.PID)}
	e.Process = &process{PID: f.PID}
	e.image(f.Path, f.Argv, "", f.ArgvTruncated)
	if e.Process.File != nil {
		e.Process.File.TypeID = fileUnknown // if it is there at all
	}
	if f.PathCut {
		e.more("path_cut", true)
	}
	e.times(f.Count)
	return e
}

// image sets what a process runs. The command line is the arguments with spaces
// between them; where that does not tell them apart they are also in a list.
func (e *event) image(exe string, argv []string, dir string, truncated bool) {
	if exe != "" {
		e.Process.Name = path.Base(exe)
		e.Process.File = fileAt(exe, fileRegular)
	}
	e.Process.CmdLine = strings.Join(argv, " ")
	for _, arg := range argv {
		if arg == "" || strings.Contains(arg, " ") {
			e.more("argv", argv)
			break
		}
	}
	if truncated {
		e.more("argv_truncated", true)
	}
	e.Process.WorkingDirectory = dir
}

func (e *event) user(p *receipt.Process) {
	if p.UID == 0 && p.Exe == "" {
		return // neither was seen
	}
	e.Process.User = &user{UID: strconv.FormatUint(uint64(p.UID), 10)}
	e.more("gid", p.GID)
}

// parent is who forked process i; of one that is not in the receipt the number
// alone is known, nil if not even that.
func (x *exporter) parent(i int) *process {
	if j := x.parents[i]; j != tree.None {
		return reference(&x.rec.ProcessTree[j])
	}
	if ppid := x.rec.ProcessTree[i].PPID; ppid != 0 {
		return &process{PID: ppid}
	}
	return nil
}

// process is the one with this number: of several nobody knows which.
func (x *exporter) process(pid int32) *process {
	if i := tree.Find(x.byPID, pid); i != tree.None {
		return reference(&x.rec.ProcessTree[i])
	}
	return &process{PID: pid}
}

func identity(p *receipt.Process) *process {
	return &process{PID: p.PID, UID: fmt.Sprintf("%d:%d", p.PID, p.StartTime), CreatedTime: at(p.StartedAt.Time)}
}

func reference(p *receipt.Process) *process {
	ref := identity(p)
	if p.Exe != "" {
		ref.Name = path.Base(p.Exe)
		ref.File = fileAt(p.Exe, fileRegular)
	}
	return ref
}

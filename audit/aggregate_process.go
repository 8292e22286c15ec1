package audit

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"glasshouse/receipt"
)

type processTable struct {
	byID     map[ProcessID]*process
	latest   *process // the last that was looked up: mostly the next as well
	failed   map[execFailure]uint64
	failArgv map[string][]string // by its joined form in execFailure
	argvLeft int                 // bytes of arguments that may still be kept
	argvCut  uint64              // execs whose arguments were cut for that
}

// What is kept of the arguments of all execs of a run, and of one beyond that,
// in bytes: an exec can have 2 MB of them, and a run makes as many as it likes.
const (
	argvMax     = 64 << 20
	argvLeftMax = 1 << 10
)

func newProcessTable() processTable {
	return processTable{
		byID:     map[ProcessID]*process{},
		failed:   map[execFailure]uint64{},
		failArgv: map[string][]string{},
		argvLeft: argvMax,
	}
}

type process struct {
	id     ProcessID
	forked *Fork
	images []image
	exited *Exit
}

// image is what one exec made of a process.
type image struct {
	at        order
	parent    int32
	uid, gid  uint32
	exe, dir  string
	requested string
	interp    string
	argv      []string
	truncated bool
}

// order is a place in time; CPU and number break ties.
type order struct {
	time, seq uint64
	cpu       uint16
}

func orderOf(h *Header) order { return order{h.Time, h.Seq, h.CPU} }

func (a order) compare(b order) int {
	return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.cpu, b.cpu), cmp.Compare(a.seq, b.seq))
}

// execFailure is the key under which failed execs count together.
type execFailure struct {
	process        ProcessID
	path, argv     string
	errno          int32
	pathCut, short bool
}

// get returns the process, a new one if nothing was known of it: whatever acts
// was there, even if the event of its beginning is late or lost. It returns
// nil for what cannot be a process.
func (t *processTable) get(id ProcessID) *process {
	if id.PID <= 0 {
		return nil
	}
	if t.latest != nil && t.latest.id == id {
		return t.latest
	}
	p := t.byID[id]
	if p == nil {
		p = &process{id: id}
		t.byID[id] = p
	}
	t.latest = p
	return p
}

// fork does not make a process of the creator: for the root that is the
// recorder.
func (t *processTable) fork(e *Fork) {
	p := t.get(e.Child)
	if p != nil && (p.forked == nil || orderOf(&e.Header).compare(orderOf(&p.forked.Header)) < 0) {
		p.forked = e
	}
}

func (t *processTable) exec(e *Exec) {
	p := t.get(e.Process)
	if p == nil {
		return
	}
	argv, cut := t.keepArgv(e.Argv)
	p.images = append(p.images, image{
		at: orderOf(&e.Header), parent: e.Parent.PID, uid: e.UID, gid: e.GID,
		exe: e.Exe.Name, dir: e.WorkingDir.Name,
		requested: e.Requested, interp: e.Interp, argv: argv, truncated: e.Truncated || cut,
	})
}

// keepArgv returns what of argv is kept, and whether that is not all.
func (t *processTable) keepArgv(argv []string) (kept []string, cut bool) {
	size := 0
	for _, arg := range argv {
		size += len(arg) + 1
	}
	if size <= t.argvLeft {
		t.argvLeft -= size
		return argv, false
	}
	size = 0
	for _, arg := range argv {
		if size += len(arg) + 1; size > argvLeftMax {
			t.argvCut++
			return kept, true
		}
		kept = append(kept, strings.Clone(arg)) // not a part of what is let go
	}
	return kept, false
}

func (t *processTable) exit(e *Exit) {
	p := t.get(e.Process)
	if p != nil && (p.exited == nil || orderOf(&e.Header).compare(orderOf(&p.exited.Header)) > 0) {
		p.exited = e
	}
}

func (t *processTable) execFailed(e *ExecFailed) {
	argv, cut := t.keepArgv(e.Argv)
	key := execFailure{
		process: e.Process, path: e.Path.Name(), pathCut: partial(e.Path),
		errno: e.Errno, short: e.Truncated || cut,
	}
	if e.Errno == eNOENT && e.Path.Kernel() {
		key.path = ""
	}
	if len(argv) > 0 {
		// Each argument ends in a NUL, which none can hold.
		key.argv = strings.Join(argv, "\x00") + "\x00"
	}
	if _, ok := t.failArgv[key.argv]; !ok {
		t.failArgv[key.argv] = argv
	}
	t.failed[key] = addSat(t.failed[key], 1)
}

func (t *processTable) failures() []receipt.ExecFail {
	rows := make([]receipt.ExecFail, 0, len(t.failed))
	for k, n := range t.failed {
		rows = append(rows, receipt.ExecFail{
			PID: k.process.PID, Path: k.path, PathCut: k.pathCut,
			Argv: slices.Clone(t.failArgv[k.argv]), ArgvTruncated: k.short,
			Errno: errnoName(k.errno), Count: n,
		})
	}
	return rows
}

// processRows is what the processes contribute to a receipt.
type processRows struct {
	tree      []receipt.Process
	survivors []receipt.Survivor
	resources receipt.Resources
	asRoot    uint64 // processes that ran as user 0 at some time
	dumped    uint64 // processes whose memory the kernel dumped
}

func (t *processTable) rows(alive []ProcessID, clock clock) processRows {
	all := make(map[ProcessID]*process, len(t.byID))
	for id, p := range t.byID {
		all[id] = p
	}
	running := map[ProcessID]bool{}
	for _, id := range alive {
		if id.PID <= 0 {
			continue
		}
		if all[id] == nil {
			all[id] = &process{id: id}
		}
		running[id] = all[id].exited == nil
	}

	// A creator began before what it created, so in this order its images are
	// known when its children inherit one.
	sorted := make([]*process, 0, len(all))
	for _, p := range all {
		sorted = append(sorted, p)
	}
	slices.SortFunc(sorted, func(a, b *process) int {
		return cmp.Or(cmp.Compare(a.id.Start, b.id.Start), cmp.Compare(a.id.PID, b.id.PID))
	})

	rows := processRows{tree: make([]receipt.Process, 0, len(sorted))}
	histories := make(map[ProcessID][]image, len(sorted))
	var cpu, rss uint64
	for _, p := range sorted {
		images := p.history(histories)
		histories[p.id] = images
		row := p.row(images, clock)
		rows.tree = append(rows.tree, row)
		if running[p.id] {
			rows.survivors = append(rows.survivors, receipt.Survivor{PID: p.id.PID, Exe: row.Exe})
		}
		if p.ranAs(0) {
			rows.asRoot++
		}
		if e := p.exited; e != nil {
			cpu = addSat(cpu, e.CPUTime)
			rss = max(rss, e.MaxRSS)
			if _, signal := waitStatus(e.Status); signal != nil && e.Status&coreDumped != 0 {
				rows.dumped++
			}
			rows.resources.IOReadBytes = addSat(rows.resources.IOReadBytes, e.ReadBytes)
			rows.resources.IOWriteBytes = addSat(rows.resources.IOWriteBytes, e.WriteBytes)
		}
	}
	rows.resources.CPUTimeMS = toInt64(cpu / uint64(time.Millisecond))
	rows.resources.MaxRSSKB = toInt64(rss)
	rows.resources.Processes = len(rows.tree)
	return rows
}

// history is all images that p had, in order; the first is the one that it
// inherited, an empty one if that is not known.
func (p *process) history(known map[ProcessID][]image) []image {
	images := make([]image, 1, 1+len(p.images))
	if f := p.forked; f != nil {
		at := orderOf(&f.Header)
		for _, parent := range known[f.Process] {
			// A creator's first image was there before anything it did.
			if parent.at == (order{}) || parent.at.compare(at) < 0 {
				images[0] = parent
			}
		}
		images[0].uid, images[0].gid = f.UID, f.GID
		images[0].at = order{}
	}
	images = append(images, p.images...)
	slices.SortFunc(images[1:], func(a, b image) int { return a.at.compare(b.at) })
	return images
}

func (p *process) ranAs(uid uint32) bool {
	return p.forked != nil && p.forked.UID == uid ||
		slices.ContainsFunc(p.images, func(i image) bool { return i.uid == uid })
}

func (p *process) row(images []image, clock clock) receipt.Process {
	last := images[len(images)-1]
	row := receipt.Process{
		PID: p.id.PID, Exe: last.exe, Argv: slices.Clone(last.argv), WorkingDir: last.dir,
		StartTime: p.id.Start, StartedAt: clock.at(p.id.Start),
		UID: last.uid, GID: last.gid, ArgvTruncated: last.truncated,
	}
	switch {
	case p.forked != nil:
		row.PPID = p.forked.Process.PID
	case len(images) > 1:
		row.PPID = images[1].parent
	}
	for _, i := range images[1:] {
		row.Execs = append(row.Execs, i.row(clock))
	}
	if e := p.exited; e != nil {
		ended := clock.at(e.Time)
		row.EndedAt = &ended
		row.ExitCode, row.Signal = waitStatus(e.Status)
		row.CPUTimeMS = toInt64(e.CPUTime / uint64(time.Millisecond))
		row.MaxRSSKB = toInt64(e.MaxRSS)
	}
	return row
}

func (i image) row(clock clock) receipt.Exec {
	row := receipt.Exec{
		Exe: i.exe, Argv: slices.Clone(i.argv), WorkingDir: i.dir,
		At: clock.at(i.at.time), ArgvTruncated: i.truncated,
	}
	if i.requested != i.exe {
		row.Requested = i.requested
	}
	if i.interp != "" {
		row.Interpreter = &i.interp
	}
	return row
}

// coreDumped is WCOREFLAG of wait(2).
const coreDumped = 0x80

// waitStatus takes apart a status of wait(2): a code or a signal, or neither
// where it is no status of an exit.
func waitStatus(status int32) (code *int, signal *string) {
	switch sig := status & 0x7f; sig {
	case 0:
		n := int(status>>8) & 0xff
		return &n, nil
	case 0x7f: // stopped or continued
		return nil, nil
	default:
		name := signalName(sig)
		return nil, &name
	}
}

package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"glasshouse/audit"
	"glasshouse/backend"
	"glasshouse/journal"
	"glasshouse/receipt"
)

const (
	// stopLimit bounds the drain of a collector and the clean-up of a backend
	// after the run's own context is done.
	stopLimit = 30 * time.Second
	// killGrace is how long it may take to kill a tree and to see it exit.
	killGrace = time.Second
	// streamGrace is how long the output of a tree that is gone may take to
	// arrive.
	streamGrace = time.Second
	// failureCode is the exit code of a run in which no command ran.
	failureCode = 1
)

// Run runs one command and returns its receipt, which is there whatever went
// wrong once a command was asked for. The error is what the receipt's
// outcome.error says. Not being able to observe is no error unless
// Spec.Strict is set.
func Run(ctx context.Context, spec Spec) (*receipt.Receipt, error) {
	if len(spec.Argv) == 0 || spec.Argv[0] == "" {
		return nil, errors.New("no command to run")
	}
	if spec.Backend == nil {
		return nil, errors.New("no backend to run the command with")
	}
	r := &run{
		spec:       spec,
		aggregator: audit.NewAggregator(),
		terminal:   terminalState(),
		boot:       BootTime(),
		started:    time.Now(),
		exit:       backend.Exit{Code: failureCode},
	}
	r.stdout, r.stderr = newStreams(spec.Stdout, spec.Stderr)
	r.ended = r.started
	r.conduct(ctx)
	return r.receipt(), r.err()
}

// run is the state of one Run.
type run struct {
	spec           Spec
	stdout, stderr *stream
	aggregator     *audit.Aggregator
	terminal       terminal // at the start
	boot           time.Time

	started, ended time.Time
	waited         time.Time        // when the waiting was over
	ran            bool             // the command was started
	pid            int              // of the root; 0 if it was not, or if the backend tells none
	machine        *backend.Machine // that runs the command; nil: this one
	early          os.Signal        // one that came before anything was started
	exit           backend.Exit
	cpu            time.Duration // of the run's cgroup; 0 if it has none
	errs           []error

	attached bool
	blind    string // why nothing is observed; "" if something is
	summary  audit.Summary

	releaseBrake func() // see brake; nil if the command was not started
	gaps         []receipt.Gap

	journal *journal.Writer // nil if there is none
	masking sync.Mutex      // held while spec.Mask is used: records come meanwhile

	// giveUp is closed when a signal says that the tree is not to be waited
	// for any longer; givenUp is the signal.
	giveUp  chan struct{}
	givenUp os.Signal
}

// conduct is the order of a run. Whatever fails, the collector is drained
// and the backend cleaned up, with a context of their own: the run's may be
// what ended it.
func (r *run) conduct(ctx context.Context) {
	end := make(chan struct{})
	defer close(end)
	defer r.cleanup(ctx)
	if !r.prepare(ctx) {
		r.blind = "the command was not started"
		if r.early != nil {
			r.exit.Code = 128 + signalNumber(r.early)
		}
		return
	}
	defer r.drain(ctx)
	r.openJournal()
	r.attach(ctx)
	if r.refuse() || r.interrupted() {
		return
	}
	r.awaitJournal()
	if !r.start(ctx) {
		return
	}
	defer r.sample()()
	r.wait(ctx)
	go r.watchLateSignals(end)
}

func (r *run) fail(err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

func (r *run) prepare(ctx context.Context) bool {
	ctx, done := r.interruptible(ctx)
	defer done()
	err := ctx.Err()
	if err == nil {
		err = r.spec.Backend.Prepare(ctx, backend.Command{
			Argv:   r.spec.Argv,
			Dir:    r.spec.Dir,
			Env:    r.spec.Env,
			User:   r.spec.User,
			Stdin:  r.spec.Stdin,
			Stdout: r.stdout.writer(),
			Stderr: r.stderr.writer(),
		})
	}
	r.fail(err)
	r.situate()
	return err == nil
}

// interruptible is a context that a signal ends: to prepare a machine takes
// seconds.
func (r *run) interruptible(ctx context.Context) (inner context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case sig := <-r.spec.Signals:
			r.early = sig
			cancel(fmt.Errorf("%s before the command was started", signalName(sig)))
		case <-stop:
		}
	}()
	return ctx, func() {
		close(stop)
		<-stopped
		cancel(nil)
	}
}

// situate takes over what a backend knows of the machine that runs the command.
func (r *run) situate() {
	if b, ok := r.spec.Backend.(backend.Remote); ok {
		if r.machine = b.Machine(); r.machine != nil {
			r.boot = r.machine.BootTime
		}
	}
}

// attach makes the collector ready. That it cannot be is no failure of the
// run: the command comes first.
func (r *run) attach(ctx context.Context) {
	if r.spec.Collector == nil {
		r.unavailable(errors.New("no collector was asked for"))
		return
	}
	sink := r.aggregator.Add
	if tap := r.spec.Tap; tap != nil {
		sink = func(ev audit.Event) {
			tap(ev)
			r.aggregator.Add(ev)
		}
	}
	var failed []error
	for _, c := range append([]audit.Collector{r.spec.Collector}, r.spec.Fallbacks...) {
		err := r.attachOne(ctx, c, sink)
		if err == nil {
			r.spec.Collector, r.attached = c, true
			if len(failed) > 0 {
				r.gap(receipt.GapFallback, joined(failed).Error())
			}
			return
		}
		failed = append(failed, err)
	}
	r.unavailable(unavailableAll(failed))
}

func (r *run) attachOne(ctx context.Context, c audit.Collector, sink audit.Sink) error {
	if err := c.Attach(ctx, sink); err != nil {
		return err
	}
	if s, ok := c.(audit.ExecStopper); ok && s.StopsAtExec() {
		b, ok := r.spec.Backend.(backend.ExecStopper)
		if !ok {
			_, _ = c.Stop(ctx) // it has seen nothing
			return errors.New("what this backend starts cannot be traced")
		}
		b.StopAtExec()
	}
	return nil
}

// unavailableAll is one error for those of all collectors. Any one of the hints
// would do.
func unavailableAll(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	var hints []string
	for _, err := range errs {
		var u *audit.UnavailableError
		if errors.As(err, &u) && u.Hint != "" && !slices.Contains(hints, u.Hint) {
			hints = append(hints, u.Hint)
		}
	}
	return &audit.UnavailableError{Reason: joined(errs).Error(), Hint: strings.Join(hints, "; or ")}
}

// mode is how the collector watches.
func (r *run) mode() string {
	switch m, ok := r.spec.Collector.(audit.Moder); {
	case !r.attached:
		return "none"
	case ok:
		return m.Mode()
	}
	return "ebpf"
}

// unavailable takes note that nothing will be observed.
func (r *run) unavailable(err error) {
	r.blind = err.Error()
	switch {
	case r.spec.Strict:
		r.fail(&refusal{err})
	case r.spec.Unavailable != nil:
		r.spec.Unavailable(err)
	}
}

// refuse says whether a strict run must end before it begins.
func (r *run) refuse() bool {
	if !r.spec.Strict {
		return false
	}
	if !r.attached {
		return true
	}
	lister, ok := r.spec.Collector.(audit.HookLister)
	if !ok {
		return false
	}
	var missing []string
	for _, h := range lister.Hooks() {
		if !h.Attached {
			missing = append(missing, h.Name+" ("+h.Err+")")
		}
	}
	if len(missing) == 0 {
		return false
	}
	r.fail(&refusal{fmt.Errorf("not attached: %s", strings.Join(missing, ", "))})
	return true
}

// refusal is ErrNotObservable with its cause.
type refusal struct{ cause error }

func (e *refusal) Error() string   { return ErrNotObservable.Error() + ": " + e.cause.Error() }
func (e *refusal) Unwrap() []error { return []error{ErrNotObservable, e.cause} }

// interrupted looks for a signal that came before there was a command to
// take it.
func (r *run) interrupted() bool {
	sig := r.early
	if sig == nil {
		select {
		case sig = <-r.spec.Signals:
		default:
			return false
		}
	}
	r.exit.Code = 128 + signalNumber(sig)
	r.fail(fmt.Errorf("%s before the command was started", signalName(sig)))
	return true
}

// start forks the command. With a collector that happens on the collector's
// thread, so that it sees the command's own exec.
func (r *run) start(ctx context.Context) bool {
	r.noteStarting()
	begin := func() error {
		r.started = time.Now()
		err := r.spec.Backend.Start(ctx)
		r.ran = err == nil
		if p, ok := r.spec.Backend.(backend.Process); ok {
			r.pid = p.PID()
		}
		if s, ok := r.spec.Collector.(audit.ExecStopper); ok && r.ran && r.attached {
			s.Stopped(r.pid)
		}
		return err
	}
	if r.attached {
		r.releaseBrake = r.brake()
		// An error of the collector's own may come beside a command that
		// runs, and that has to be waited for.
		r.fail(r.spec.Collector.Launch(begin))
	} else {
		r.fail(begin())
	}
	r.ended = time.Now()
	r.noteStarted()
	return r.ran
}

// wait sees the root to its end, then the tree as far as that was asked for.
func (r *run) wait(ctx context.Context) {
	if d := r.spec.Timeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, &TimeoutError{After: d})
		defer cancel()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	r.giveUp = make(chan struct{})
	rootEnded := make(chan struct{})
	watcherDone := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(watcherDone)
		r.watchSignals(rootEnded, stop, cancel)
	}()
	defer func() { close(stop); <-watcherDone }()

	exit, err := r.spec.Backend.Wait(ctx)
	close(rootEnded)
	r.ended = time.Now()
	r.waited = r.ended
	if b, ok := r.spec.Backend.(rootTimer); ok && !b.RootEnded().IsZero() {
		r.ended = b.RootEnded()
	}
	r.exit = exit
	if err != nil {
		r.fail(err)
		if exit == (backend.Exit{}) {
			// Nothing is known of how the command ended; 0 would be a claim.
			r.exit.Code = failureCode
		}
	}
	r.noteExited()
	killed := ctx.Err() != nil
	if killed {
		r.awaitExits() // the backend has killed what it could find
	} else if r.spec.WaitTree {
		killed = r.waitTree(ctx)
	}
	if r.spec.KillSurvivors && !killed {
		r.killSurvivors()
	}
	r.drainStreams(ctx)
}

// rootTimer is implemented by backends whose Wait can return later than the
// root ends.
type rootTimer interface{ RootEnded() time.Time }

// streamHolder is implemented by backends whose Wait can return while others
// still hold the command's output.
type streamHolder interface {
	StreamsHeld() bool
	// Drain copies until the output is closed or ctx is done.
	Drain(ctx context.Context) error
}

// streamLeaver is implemented by backends that copy the command's output.
type streamLeaver interface {
	// LeaveStreams tells Wait not to wait for readers that take nothing.
	LeaveStreams()
}

// hurrier is implemented by backends that wait for another machine once the
// command has ended.
type hurrier interface {
	// Hurry tells of a signal. One that comes when the command has ended bounds
	// that waiting.
	Hurry(signal string)
}

// drainStreams copies what is left in the command's output once the tree has
// been waited for or killed, and says so if somebody goes on writing to it.
func (r *run) drainStreams(ctx context.Context) {
	h, ok := r.spec.Backend.(streamHolder)
	if !ok || !h.StreamsHeld() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), streamGrace)
	defer cancel()
	if r.spec.WaitTree || r.spec.KillSurvivors {
		// Its only error is that ctx was done, which StreamsHeld tells too.
		_ = h.Drain(ctx)
	}
	if h.StreamsHeld() {
		r.gap(receipt.GapOutput, "a process that outlived the command holds its output: what it writes from here on is neither passed on nor hashed")
	}
}

// watchSignals passes signals on while the root runs, and takes them as the
// wish to go home after that.
func (r *run) watchSignals(rootEnded, stop <-chan struct{}, cancel context.CancelCauseFunc) {
	for {
		select {
		case <-stop:
			return
		case sig := <-r.spec.Signals:
			select {
			case <-rootEnded:
				r.stopWaiting(sig)
				r.hurry(sig)
				continue
			default:
			}
			r.hurry(sig)
			if endsWaiting(sig) {
				r.stopWaiting(sig)
			}
			// Who is on another machine shares no terminal with the recorder.
			if r.machine == nil && !mustForward(sig, r.terminal, terminalState()) {
				continue
			}
			if p, ok := r.spec.Backend.(backend.Process); ok {
				// The process may be gone by now, and then there is nobody to tell.
				_ = p.Signal(signalNumber(sig))
			} else {
				cancel(fmt.Errorf("ended by %s", signalName(sig)))
			}
		}
	}
}

// watchLateSignals takes those that come while the run is drained and cleaned up.
func (r *run) watchLateSignals(end <-chan struct{}) {
	for {
		select {
		case <-end:
			return
		case sig := <-r.spec.Signals:
			r.stopWaiting(sig)
			r.hurry(sig)
		}
	}
}

func (r *run) hurry(sig os.Signal) {
	if h, ok := r.spec.Backend.(hurrier); ok {
		h.Hurry(signalName(sig))
	}
}

// stopWaiting is called by the goroutine that watches signals alone.
func (r *run) stopWaiting(sig os.Signal) {
	if r.givenUp == nil {
		r.givenUp = sig
		close(r.giveUp)
		// The command may be gone while its output waits for a reader that
		// never comes back: then nothing else would end the run.
		if l, ok := r.spec.Backend.(streamLeaver); ok {
			l.LeaveStreams()
		}
	}
}

// waitTree waits until nothing of the tree is left. It reports whether the
// run's end (a timeout, a done context) made it kill the tree.
func (r *run) waitTree(ctx context.Context) (killed bool) {
	left := r.treeLeft()
	if left == nil {
		r.gap(receipt.GapWaitTree, "only the root could be waited for: there is neither a collector nor a cgroup that knows the tree")
		return false
	}
	for delay := 2 * time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		some, err := left()
		if err != nil {
			r.gap(receipt.GapWaitTree, "the waiting for the tree ended early: "+err.Error())
			break
		}
		if !some {
			break
		}
		select {
		case <-ctx.Done():
			r.fail(context.Cause(ctx))
			r.killTree()
			r.treeEnded()
			return true
		case <-r.giveUp:
			r.gap(receipt.GapWaitTree, "the waiting for the tree was ended by a signal")
			r.treeEnded()
			return false
		case <-time.After(delay):
		}
	}
	r.treeEnded()
	return false
}

// treeEnded: a run that waits for the tree takes until then.
func (r *run) treeEnded() {
	r.ended = time.Now()
	r.waited = r.ended
}

// treeLeft returns a function that tells whether anything of the tree is
// still there; nil if that cannot be known.
func (r *run) treeLeft() func() (bool, error) {
	if r.attached {
		return func() (bool, error) {
			alive, err := r.spec.Collector.Alive()
			return len(alive) > 0, err
		}
	}
	if g, ok := r.spec.Backend.(backend.Grouped); ok && g.Cgroup() != "" {
		return func() (bool, error) { return populated(g.Cgroup()) }
	}
	return nil
}

// killSurvivors kills the tree and says that it was the recorder who did.
func (r *run) killSurvivors() {
	if r.attached {
		if alive, err := r.spec.Collector.Alive(); err == nil && len(alive) > 0 {
			r.gaps = append(r.gaps, receipt.Gap{
				Kind: receipt.GapKilled, Count: uint64(len(alive)),
				Detail: "processes that outlived the command were killed by the recorder, as was asked",
			})
		}
	}
	r.killTree()
}

// killTree kills what is left of the tree and gives the exits time to be seen.
// What the backend cannot find (a process that left the run's cgroup, or all
// of them where there is none) the collector may know.
func (r *run) killTree() {
	var err error
	if k, ok := r.spec.Backend.(backend.TreeKiller); ok {
		err = k.KillTree()
	} else {
		err = errors.New("this backend cannot kill what the command left")
	}
	if gone := r.awaitExits(); !gone {
		r.fail(err)
	}
}

// awaitExits kills, by number, what the collector still sees alive, until it
// sees nothing or the grace is over. It reports whether nothing is left, as
// far as can be known.
func (r *run) awaitExits() (gone bool) {
	left := r.treeLeft()
	if left == nil {
		return false
	}
	deadline := time.Now().Add(killGrace)
	for delay := time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		some, err := left()
		if err == nil && !some {
			return true
		}
		if err != nil || time.Now().After(deadline) {
			return false
		}
		time.Sleep(delay)
		if !r.attached {
			continue
		}
		alive, _ := r.spec.Collector.Alive() // an error leaves nobody to kill
		for _, p := range alive {
			kill(p)
		}
	}
}

// drain takes what is still on its way from the kernel. The end of a run is
// here, not at the exit of its root.
func (r *run) drain(ctx context.Context) {
	defer r.closeRecords()
	if g, ok := r.spec.Backend.(backend.Grouped); ok {
		if dir := g.Cgroup(); dir != "" {
			r.cpu = cpuTime(dir)
		}
	}
	if r.pid != 0 {
		r.gaps = append(r.gaps, r.cgroupGap()...)
	}
	if r.spec.Collector == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	sum, err := r.spec.Collector.Stop(ctx)
	if r.releaseBrake != nil {
		r.releaseBrake()
	}
	r.summary = sum
	if err != nil && r.attached && len(sum.Doubts) == 0 {
		r.summary.Doubts = []string{err.Error()}
	}
}

func (r *run) cleanup(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	r.fail(r.spec.Backend.Cleanup(ctx))
}

// cgroupGap is why the run had no cgroup of its own, if it had none.
func (r *run) cgroupGap() []receipt.Gap {
	if g, ok := r.spec.Backend.(backend.Grouped); ok {
		if err := g.CgroupError(); err != nil {
			return []receipt.Gap{{Kind: receipt.GapCgroup, Detail: "the run had none of its own: " + err.Error(), Count: 1}}
		}
	}
	return nil
}

func (r *run) gap(kind, detail string) {
	r.gaps = append(r.gaps, receipt.Gap{Kind: kind, Detail: detail, Count: 1})
}

// err joins what went wrong into one error.
func (r *run) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	return joined(r.errs)
}

// joined is errors.Join on a single line, whatever was joined before.
type joined []error

func (j joined) Error() string {
	s := make([]string, len(j))
	for i, err := range j {
		s[i] = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return strings.Join(s, "; ")
}

func (j joined) Unwrap() []error { return j }

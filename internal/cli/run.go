package cli

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"glasshouse/attest"
	"glasshouse/backend"
	"glasshouse/backend/process"
	"glasshouse/internal/agent"
	"glasshouse/internal/files"
	"glasshouse/ptrace"
	"glasshouse/receipt"
	"glasshouse/runner"
)

// runFlags are the flags of run as they were given.
type runFlags struct {
	output        string
	strict        bool
	quiet         bool
	timeout       duration
	user          string
	wait          string
	killSurvivors bool
	envFile       string
	chdir         string
	guest         bool
	ringSize      ringSize
	noPressure    bool
	backend       string
	kernel        string
	rootfs        string
	noJournal     bool
	keepJournal   bool
	sign          string
	redact        redactFlags
	noStore       bool
	vm            vmFlags
	observe       string
	onDeath       string
	denyIOURing   bool
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] -- command [args...]",
		Short: "Run a command and leave a receipt of it",
		Long: `Run a command, record what it does, and write a receipt.

The command has its terminal, stdin and output, its signals and its exit code
as if it ran by itself. Output that does not go to a terminal is counted and
hashed on its way. After the run a summary is printed on stderr.

Where eBPF is not allowed, as in most containers and for plain users, the
command is watched with ptrace. The receipt is the same, but programs cannot
trace one another, setuid programs give no rights unless root traces, io_uring
is not seen into, and calls that no list needs are not counted; the summary says
why. --observe chooses. If the recorder of a traced command is killed the
command goes on unrecorded, or ends, as --on-recorder-death says.

With --backend qemu or firecracker the command runs in a fresh virtual machine
(see glasshouse image build), without a network, and glasshouse records in
there. --chdir, --user and the environment are the machine's; --workspace takes
a folder along, and what became of it is kept beside the receipt or, with
--apply, done to the folder. With --net proxy programs that heed HTTPS_PROXY and
its like reach what --net-allow names: a name, *.NAME for all below it, * for all
names, an address or a network such as 10.0.0.0/8, each with :PORT or :* for all
ports, else for 80 and 443. A name that leads to this host, or to a private
network, also takes an --net-allow with that address. All else is refused, and
the receipt says so.

Without the right to observe in any way (see glasshouse doctor) the command
runs all the same: the receipt says why nothing was observed, and so does a line
on stderr, which --quiet does not silence. --strict runs nothing in that case,
nor where eBPF is not allowed, unless --observe ptrace asks for less.

With -o - the receipt, and nothing else, goes to stdout; the command's own
stdout goes to stderr then.

A command that is faster than the recorder is frozen for moments, so that no
event is lost; the receipt says for how long. --no-backpressure lets events be
lost instead, and the receipt says how many. While there is much to read the
recorder, not the command, runs in real time at the lowest priority.

Signals: Ctrl-C and Ctrl-\ reach the command from the terminal; the recorder
outlives them and writes the receipt. SIGTERM is always passed on to the
command; SIGINT, SIGQUIT and SIGHUP are where the terminal has not sent them to
the command already. A signal while --wait=tree waits for what the command left
behind, or a SIGTERM before, ends that waiting. SIGTERM and SIGHUP also end the
waiting for a reader that takes no more of an output of a command that is gone.

The exit code is the command's own, 128+n if signal n ended it, and 1 if
glasshouse failed before there was a command. A receipt that cannot be written
is an error on stderr and leaves the exit code of the command as it is.

With --sign the receipt is signed (see glasshouse sign and glasshouse verify).
The key is read before the command starts; without it nothing is run. A bundle
of an earlier receipt is replaced, or removed if nothing is signed. What cannot
be signed is an error on stderr and leaves the exit code as it is. A signal that
comes when the command has ended gives the signing a second more.

While the run goes on, a journal of it is written in the state folder (see
glasshouse recover), so that a recorder that is killed leaves evidence. It is
removed when the receipt is written.

` + redactHelp + `

The receipt is kept in the state folder as well, for glasshouse log to find it;
glasshouse prune removes old ones. --no-store keeps none.

` + environmentHelp,
		Example: `  sudo glasshouse run -- python3 script.py
  sudo glasshouse run -o build.json --timeout 10m --kill-survivors -- make
  sudo glasshouse run --user invoking --chdir src -- npm test
  glasshouse run --observe ptrace --on-recorder-death kill -- ./agent-tool
  glasshouse run --backend qemu --workspace . --apply -- python3 tool.py
  glasshouse run --backend qemu --net proxy --net-allow '*.example.org' -- python3 tool.py
  glasshouse run -q -o - -- curl -s https://example.org | jq .network.attempts`,
		Args: runArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd, &f, args)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // the command's flags are its own
	flags.SortFlags = false
	flags.StringVarP(&f.output, "output", "o", "receipt.json", "write the receipt to `FILE`; - is stdout")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print no summary")
	flags.BoolVar(&f.strict, "strict", false, "run nothing if it cannot be fully observed")
	flags.Var(&f.timeout, "timeout", "kill the command and all that it started after this `DURATION`, such as 90s")
	flags.StringVar(&f.user, "user", "", "run the command as `NAME|UID[:GID]`; invoking is who called sudo")
	flags.StringVar(&f.wait, "wait", "root", "wait for the command alone or for all that it started: `root|tree`")
	flags.BoolVar(&f.killSurvivors, "kill-survivors", false, "when the waiting is over, kill what the command left running")
	flags.StringVar(&f.envFile, "env-file", "", "add the KEY=VALUE lines of `FILE` to the environment")
	flags.StringVar(&f.chdir, "chdir", "", "run the command in `DIR`")
	flags.StringVar(&f.sign, "sign", "", "sign the receipt with the private key in `FILE`")
	flags.BoolVar(&f.keepJournal, "keep-journal", false, "keep the run's journal when the receipt is written")
	flags.BoolVar(&f.noJournal, "no-journal", false, "write no journal: a killed recorder leaves nothing")
	f.redact.add(cmd)
	flags.BoolVar(&f.noStore, "no-store", false, "keep no copy of the receipt in the history")
	flags.Var(&f.ringSize, "ring-size", "bytes of the buffer between kernel and recorder: `SIZE`, such as 4M (default 8M)")
	flags.StringVar(&f.observe, "observe", "auto", "watch with eBPF, with ptrace, with the first of these that can, or not: `auto|ebpf|ptrace|none`")
	flags.StringVar(&f.onDeath, "on-recorder-death", "continue", "what becomes of a traced command if the recorder is killed: `kill|continue` (ptrace)")
	flags.BoolVar(&f.denyIOURing, "deny-io-uring", false, "have programs do without io_uring, which ptrace cannot see")
	flags.BoolVar(&f.noPressure, "no-backpressure", false, "lose events rather than freeze the command while the recorder catches up")
	flags.BoolVar(&f.guest, "guest", false, "take on the duties of a guest's first process: mounts, limits, reaping")
	flags.StringVar(&f.backend, "backend", "process", "run the command as a process, or in a virtual machine: `process|qemu|firecracker`")
	f.vm.add(cmd)
	flags.StringVar(&f.kernel, "kernel", "", "boot the kernel in `FILE`, not the image's")
	flags.StringVar(&f.rootfs, "rootfs", "", "boot with the root file system in `FILE`, of the same type, not the image's")
	return cmd
}

// runArgs insists on the "--": without it, a typing error in a flag would
// silently become a flag of the command.
func runArgs(cmd *cobra.Command, args []string) error {
	dash := cmd.ArgsLenAtDash()
	switch {
	case dash != 0 && len(args) > 0:
		return &hinted{
			fmt.Errorf("-- is missing before the command: %q", args[0]),
			"glasshouse run [flags] -- command [args...]",
		}
	case len(args) == 0:
		return &hinted{errors.New("no command to run"), "glasshouse run [flags] -- command [args...]"}
	case args[0] == "":
		return &hinted{errors.New("the command is empty"), "glasshouse run [flags] -- command [args...]"}
	}
	return nil
}

// run checks everything that was asked for, and only then runs the command.
func (a *app) run(cmd *cobra.Command, f *runFlags, argv []string) error {
	collectLate()
	env, err := readSettings(os.Getenv, underWSL)
	if err != nil {
		return err
	}
	spec, err := a.spec(cmd, f, env, argv)
	if err != nil {
		return err
	}
	// Relative to where the recorder is now, whatever happens to that folder.
	output := f.output
	if output != "-" {
		if abs, err := filepath.Abs(output); err == nil {
			output = abs
		}
	}

	key, err := signingKey(cmd, f)
	if err != nil {
		return err
	}

	spec.Signals = catchSignals()
	heard := hear()
	diagnostics := newDiagnostics(env, a.stderr)
	spec.Tap = diagnostics.tap()
	collectors := f.collectors(env, diagnostics)
	vm, _ := spec.Backend.(*machine)
	if vm != nil {
		defer vm.discard()
		collectors = vm.collectors(f)
	}
	if len(collectors) > 0 {
		spec.Collector, spec.Fallbacks = collectors[0], collectors[1:]
	}

	spec.Redact, spec.Mask = f.redact.receipt(), f.redact.mask()
	if vm != nil {
		redact := spec.Redact
		spec.Redact = func(rec *receipt.Receipt) {
			vm.describe(rec)
			if redact != nil {
				redact(rec)
			}
		}
	}
	a.journal(&spec, f, output)
	rec, runErr := runner.Run(context.Background(), spec)
	runErr = f.redact.error(remedied(runErr, f))
	if rec == nil {
		return runErr
	}
	if g, ok := spec.Backend.(*agent.Backend); ok {
		rec.Execution.Guest = g.Duties()
	}
	if vm != nil {
		if err := vm.conclude(rec, f.redact.error); err != nil {
			a.report(err)
		}
	}
	a.code = rec.Outcome.ExitCode
	// The receipt comes before what is said about it: who reads stderr may take
	// no more.
	if mayBlock(output) {
		releaseSignals()
	}
	kept := newKeeping(f.noStore, runID(spec, rec), rec)
	sum := signing(key)
	writeErr := a.writeReceipt(output, rec, kept, sum)
	signed, signErr := signWritten(key, output, sum, rec, writeErr, heard)
	if writeErr == nil {
		if err := removeOld(output, key != nil, vm); err != nil {
			a.report(err)
		}
	}
	keepErr := kept.end(bundleOf(signed))
	releaseSignals()
	if runErr != nil {
		a.report(runErr)
	}
	diagnostics.print(rec)
	if writeErr != nil {
		a.report(writeErr)
	}
	inHistory := a.kept(kept, keepErr)
	if !f.quiet {
		fmt.Fprint(a.stderr, summary(rec, f.output, writeErr == nil))
	}
	a.reportSigned(f, signed, signErr)
	if writeErr != nil && inHistory {
		fmt.Fprintf(a.stderr, "hint: the receipt is in the history: glasshouse show --json %s prints it\n", kept.id)
		writeErr = nil // the run has left a receipt
	}
	if err := a.endJournal(spec, f, rec, writeErr); err != nil {
		a.report(fmt.Errorf("end the journal: %w", err))
	}
	return nil
}

// remedied adds a hint to an error of running the command, if one is known, and says
// of a missing program where it is missing.
func remedied(err error, f *runFlags) error {
	if err := missing(err, f); err != nil {
		return err
	}
	switch {
	case errors.Is(err, runner.ErrNotObservable) && f.observe == observeAuto && ptrace.Trial() == nil:
		hint := "--observe ptrace is content with what ptrace sees"
		if better := hintOf(err); better != "" {
			hint = better + "; or " + hint
		}
		return &hinted{err, hint}
	case f.user != "" && hintOf(err) == "" && errors.Is(err, syscall.EPERM) && os.Geteuid() > 0:
		return &hinted{err, "only root, or who has CAP_SETUID and CAP_SETGID, runs a command as another user"}
	}
	return err
}

// spec turns the flags into a run, or says which of them makes no sense.
func (a *app) spec(cmd *cobra.Command, f *runFlags, env settings, argv []string) (runner.Spec, error) {
	spec := runner.Spec{
		Argv:          argv,
		Dir:           f.chdir,
		Stdin:         a.stdin,
		Stdout:        a.stdout,
		Stderr:        a.stderr,
		Strict:        f.strict,
		Timeout:       time.Duration(f.timeout),
		KillSurvivors: f.killSurvivors,
		Version:       version(),
		Unavailable:   a.notObserved,

		NoBackpressure: f.noPressure,
	}
	bad := func(format string, args ...any) (runner.Spec, error) {
		return runner.Spec{}, usageError(cmd, fmt.Errorf(format, args...))
	}
	// An unset variable in a script must not pass for "as the recorder".
	for _, name := range []string{"output", "user", "env-file", "chdir", "sign"} {
		if flag := cmd.Flags().Lookup(name); flag.Changed && flag.Value.String() == "" {
			return bad("--%s is empty", name)
		}
	}
	if f.output == "-" {
		spec.Stdout = a.stderr
	}
	if f.noJournal && f.keepJournal {
		return bad("--no-journal and --keep-journal exclude each other")
	}
	if cmd.Flags().Changed("timeout") && f.timeout <= 0 {
		return bad("--timeout %s: it must be longer than nothing", time.Duration(f.timeout))
	}
	if err := f.redact.check(cmd); err != nil {
		return runner.Spec{}, err
	}
	if !slices.Contains([]string{observeAuto, observeEBPF, observePtrace, observeNone}, f.observe) {
		return bad("--observe %s: it must be auto, ebpf, ptrace or none", printable(f.observe))
	}
	if f.onDeath != "continue" && f.onDeath != "kill" {
		return bad("--on-recorder-death %s: it must be kill or continue", printable(f.onDeath))
	}
	switch f.wait {
	case "root":
	case "tree":
		spec.WaitTree = true
	default:
		return bad("--wait %s: it must be root or tree", printable(f.wait))
	}
	if f.backend == "process" {
		for _, name := range f.vm.names() {
			if cmd.Flags().Changed(name) {
				return bad("--%s needs a virtual machine: --backend qemu or firecracker", name)
			}
		}
	}
	if cmd.Flags().Changed("chdir") && f.backend == "process" {
		if info, err := os.Stat(f.chdir); err != nil {
			return bad("--chdir: %w", err)
		} else if !info.IsDir() {
			return bad("--chdir %s: not a folder", f.chdir)
		}
	}
	switch f.backend {
	case "process":
		if f.kernel != "" || f.rootfs != "" {
			return bad("--kernel and --rootfs need a virtual machine: --backend qemu or firecracker")
		}
		spec.Backend = process.New()
		if f.guest {
			spec.Backend = agent.New()
			spec.Provenance = "guest"
		}
	case "qemu", "firecracker":
		if f.guest {
			return bad("--guest is for a recorder inside of the guest, not for --backend %s", f.backend)
		}
		if f.observe == observePtrace {
			return bad("--observe ptrace: in a virtual machine there is eBPF")
		}
		err := a.inMachine(cmd, f, env, &spec)
		return spec, err
	default:
		return bad("--backend %s: it must be process, qemu or firecracker", printable(f.backend))
	}
	if err := setEnvironment(&spec, f); err != nil {
		return runner.Spec{}, err
	}
	return spec, nil
}

// setEnvironment resolves --user and --env-file. Another user gets a home and
// a name of its own, or programs would write to the recorder's; a file
// overrides that.
func setEnvironment(spec *runner.Spec, f *runFlags) error {
	var over []string
	if f.user != "" {
		u, err := backend.LookupUser(f.user)
		if err != nil {
			err = fmt.Errorf("--user: %w", err)
			if errors.Is(err, backend.ErrUnknownUser) {
				return &hinted{err, "getent passwd lists the users, or give UID:GID"}
			}
			return err
		}
		spec.User = u
		over = u.Env()
	}
	if f.envFile != "" {
		vars, err := readEnvFile(f.envFile)
		if err != nil {
			return err
		}
		over = append(over, vars...)
	}
	if over != nil {
		spec.Env = overlay(os.Environ(), over)
	}
	return nil
}

// notObserved is told before the command starts. It is no part of the
// summary: a run that nobody watched must not look like one that was. It is
// one line, remedy included, for it stands above the command's own output.
func (a *app) notObserved(err error) {
	fmt.Fprintf(a.stderr, "glasshouse: not observed: %s%s\n", printable(err.Error()), inline(hintOf(err)))
}

// inline is a hint at the end of a line, if there is one.
func inline(hint string) string {
	if hint == "" {
		return ""
	}
	return "; hint: " + printable(hint)
}

// removeOld removes what an earlier run has left beside the receipt that this one
// has replaced: it would be taken for this one's. Only a run that could have made
// a file of that name removes it.
func removeOld(output string, signed bool, vm *machine) error {
	if output == "-" || mayBlock(output) {
		return nil
	}
	var old []string
	if !signed {
		old = append(old, output+attest.Suffix)
	}
	if vm != nil && vm.old != "" {
		old = append(old, vm.old)
	}
	var failed error
	for _, file := range old {
		if err := removeFile(file); err != nil {
			failed = fmt.Errorf("an earlier run's file stays beside the receipt: %w", err)
		}
	}
	return failed
}

// writeReceipt writes the receipt to where it is to go: what is kept already is
// copied, and else it is encoded. sum, if there is one, gets what is written.
func (a *app) writeReceipt(path string, rec *receipt.Receipt, kept *keeping, sum hash.Hash) error {
	write := func(w io.Writer) error {
		if sum != nil {
			w = io.MultiWriter(w, sum)
		}
		if encoded := kept.reader(); encoded != nil {
			_, err := io.Copy(w, encoded)
			return err
		}
		return receipt.Encode(w, rec)
	}
	if path == "-" {
		if err := write(a.stdout); err != nil {
			return fmt.Errorf("receipt: write to stdout: %w", err)
		}
		return nil
	}
	if err := files.Replace(path, write); err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	return nil
}

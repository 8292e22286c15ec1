//go:build linux && (amd64 || arm64)

package ebpf

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sync/errgroup"

	"glasshouse/audit"
)

// probes are the loaded programs and maps, and their attachments.
type probes struct {
	probesMaps
	probesVariables
	programs map[string]*ebpf.Program
	loaded   *ebpf.Collection // holds the maps behind the variables
	links    []link.Link      // held: a link that is collected detaches
	later    []link.Link      // those of objectHooks
	hooks    []audit.Hook
}

// stateHooks are two of the same: see on_sock_state in bpf/connect.h.
var stateHooks = []string{probesProgInetSockSetState, probesProgInetSockSetStateAgain}

// hookName is the section of the object that a program stands in: they have
// the names of their tracepoints, or functions, but for the second of two.
func hookName(program string, kind ebpf.ProgramType) string {
	switch {
	case program == probesProgInetSockSetStateAgain:
		return hookName(probesProgInetSockSetState, kind)
	case kind == ebpf.RawTracepoint:
		return "raw_tp/" + program
	case isObject(program):
		return "fentry/" + program
	}
	return "tp_btf/" + program
}

// hook is a program that is attached to what it is named after. Without an
// optional one the recording is incomplete, and says so; without another there is none.
type hook struct {
	program  string
	prog     *ebpf.Program
	optional bool
}

// order lists the programs in the order in which they are attached: no mark is
// made before its end would be seen.
func (p *probes) order() []hook {
	var hooks []hook
	add := func(optional bool, names ...string) {
		for _, name := range names {
			if prog := p.programs[name]; prog != nil {
				hooks = append(hooks, hook{name, prog, optional})
			}
		}
	}
	add(false, probesProgSchedProcessExit)
	add(true, stateHooks...)
	add(true, uringHooks...)
	add(true, objectHooks...)
	add(false, probesProgSysExit, probesProgSysEnter, probesProgSchedProcessExec, probesProgTaskNewtask)
	return hooks
}

// attach attaches all programs. It notes each hook in p.hooks, and returns the
// first error of one that is not optional.
func (p *probes) attach() error {
	var first error
	for _, h := range p.order() {
		noted := audit.Hook{Name: hookName(h.program, h.prog.Type())}
		l, err := h.attach()
		if err != nil {
			noted.Err = err.Error()
			if first == nil && !h.optional {
				first = fmt.Errorf("attach %s: %w", noted.Name, err)
			}
		} else {
			noted.Attached = true
			if isObject(h.program) {
				p.later = append(p.later, l)
			} else {
				p.links = append(p.links, l)
			}
		}
		p.note(noted)
	}
	return first
}

// note notes a hook. One with two programs is attached if both are.
func (p *probes) note(noted audit.Hook) {
	i := slices.IndexFunc(p.hooks, func(h audit.Hook) bool { return h.Name == noted.Name })
	switch {
	case i < 0:
		p.hooks = append(p.hooks, noted)
	case !noted.Attached:
		p.hooks[i] = noted
	}
}

func (h hook) attach() (link.Link, error) {
	if h.prog.Type() == ebpf.RawTracepoint {
		return link.AttachRawTracepoint(link.RawTracepointOptions{Name: h.program, Program: h.prog})
	}
	kind := ebpf.AttachTraceRawTp
	if isObject(h.program) {
		kind = ebpf.AttachTraceFEntry
	}
	return link.AttachTracing(link.TracingOptions{Program: h.prog, AttachType: kind})
}

// detach detaches all that make events at once: each takes a while, in which the
// kernel has the CPUs agree on the code of the tracepoint.
func (p *probes) detach() error {
	var group errgroup.Group
	for _, l := range p.links {
		group.Go(l.Close)
	}
	p.links = nil
	return group.Wait()
}

func (p *probes) close() {
	_ = p.detach()
	// The kernel waits until no task can be in their code any more. Nobody else
	// has to: of calls that nobody awaits they do nothing.
	go func(links []link.Link) {
		for _, l := range links {
			_ = l.Close()
		}
	}(p.later)
	_ = p.probesMaps.Close()
	for _, prog := range p.programs {
		_ = prog.Close()
	}
	p.loaded.Close()
}

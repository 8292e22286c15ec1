//go:build linux && (amd64 || arm64)

package ebpf

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"glasshouse/audit"
	"glasshouse/audit/calls"
	"glasshouse/receipt"
)

// The values of uring_results in bpf/uring_state.h.
const (
	resultInCQE  = 1
	resultInArgs = 2
	resultByData = 3
)

// uringHooks are the programs on io_uring in the order in which they are
// attached: an operation's end is watched before its beginning.
var uringHooks = []string{
	probesProgIoUringComplete, probesProgIoUringCqeOverflow, probesProgIoUringReqFailed,
	probesProgIoUringSubmitReq, probesProgIoUringSubmitSqe,
}

func isURing(program string) bool {
	return program == probesProgIoUringTell || slices.Contains(uringHooks, program)
}

// leaveURing does without the programs on io_uring, of which the kernel has
// refused one: one alone would tell of beginnings without ends.
func (p *probes) leaveURing(spec *ebpf.CollectionSpec, refused error) {
	for _, name := range uringHooks {
		if s := spec.Programs[name]; s != nil {
			p.hooks = append(p.hooks, audit.Hook{Name: hookName(name, s.Type), Err: refused.Error()})
		}
	}
	for name, prog := range p.programs {
		if isURing(name) {
			_ = prog.Close()
			delete(p.programs, name)
		}
	}
}

// uringFit says which of the programs on io_uring a kernel can run, and how:
// the tracepoints have changed names and arguments.
type uringFit struct {
	want               map[string]bool
	results, submitArg uint32
}

// fitURing looks into the kernel's types. Before Linux 5.11 the tracepoints do
// not tell which operation they are about, and no program is left.
func fitURing(kernel *btf.Spec) uringFit {
	args := func(prog string) int { return tracepointArgs(kernel, prog) } // they have their tracepoints' names
	fit := uringFit{want: make(map[string]bool)}
	switch args(probesProgIoUringComplete) {
	case 3:
		fit.results = resultInCQE
	case 4:
		fit.results = resultByData
	case 5, 7:
		fit.results = resultInArgs
	}
	begins := true
	switch {
	case args(probesProgIoUringSubmitReq) == 1:
	case args(probesProgIoUringSubmitSqe) == 2:
	case args(probesProgIoUringSubmitSqe) == 7:
		fit.submitArg = 1
	default:
		begins = false
	}
	if begins && fit.results != 0 {
		fit.want[probesProgIoUringComplete] = true
		fit.want[probesProgIoUringSubmitReq] = args(probesProgIoUringSubmitReq) == 1
		fit.want[probesProgIoUringSubmitSqe] = args(probesProgIoUringSubmitReq) != 1
		fit.want[probesProgIoUringReqFailed] = args(probesProgIoUringReqFailed) == 3
		fit.want[probesProgIoUringCqeOverflow] = args(probesProgIoUringCqeOverflow) > 0
		fit.want[probesProgIoUringTell] = true
	}
	return fit
}

// apply leaves the programs in spec that were found to fit.
func (fit uringFit) apply(spec *ebpf.CollectionSpec) error {
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool {
		return isURing(name) && !fit.want[name]
	})
	if err := spec.Variables[probesVarUringSubmitArg].Set(fit.submitArg); err != nil {
		return fmt.Errorf("set %s: %w", probesVarUringSubmitArg, err)
	}
	if err := spec.Variables[probesVarUringResults].Set(max(fit.results, resultInCQE)); err != nil {
		return fmt.Errorf("set %s: %w", probesVarUringResults, err)
	}
	return nil
}

// tracepointArgs is the number of arguments of a tracepoint; 0 if there is none.
func tracepointArgs(kernel *btf.Spec, name string) int {
	var t *btf.Typedef
	if kernel.TypeByName(tracepointType(name), &t) != nil {
		return 0
	}
	ptr, ok := t.Type.(*btf.Pointer)
	if !ok {
		return 0
	}
	proto, ok := ptr.Target.(*btf.FuncProto)
	if !ok {
		return 0
	}
	return len(proto.Params) - 1 // the first is the tracepoint's own
}

// namesWhat tells whether an operation names a file or a peer: without its
// result it is not known what became of that.
func namesWhat(c calls.Call) bool {
	switch c.Op {
	case audit.OpNone, audit.OpMove, audit.OpRecvmsg, audit.OpClose, audit.OpAccept, audit.OpSocket, audit.OpListen:
		return false
	}
	return true
}

// uringGaps lists what is not known of the operations that were handed to io_uring.
func (p *probes) uringGaps(calls []audit.SyscallCount) ([]audit.Gap, error) {
	var gaps []audit.Gap
	add := func(n uint64, detail string) {
		if n > 0 {
			gaps = append(gaps, audit.Gap{Kind: receipt.GapIOUring, Detail: detail, Count: n})
		}
	}
	if p.programs[probesProgIoUringComplete] == nil {
		for _, c := range calls {
			if c.Name == "io_uring_setup" {
				add(c.Count, "io_uring_setup: what was done through the ring was not seen")
			}
		}
		return gaps, nil
	}

	unseen := make(map[uint32]uint64)
	err := each(p.Requests, func(_ uint64, r request) {
		if opcode := uint32(r.Opcode); r.Told == 0 && namesWhat(uringRow(opcode)) {
			unseen[opcode]++ // still under way, or ended without a word
		}
	})
	if err != nil {
		return nil, err
	}
	var perCPU []uringCounts
	if err := p.UringCounts.Lookup(uint32(0), &perCPU); err != nil {
		return nil, fmt.Errorf("read counts of io_uring: %w", err)
	}
	for i := range len(uringCounts{}) {
		opcode := uint32(i)
		n := uringCount{Unseen: unseen[opcode]}
		for _, c := range perCPU {
			n.Begun += c[i].Begun
			n.Refused += c[i].Refused
			n.Unseen += c[i].Unseen
		}
		if opcode == uringUnknown {
			add(n.Unseen, "results that found no room in their ring, or could not be told apart")
			continue
		}
		name := uringName(opcode)
		switch {
		case int(opcode) >= len(uringOps):
			add(n.Begun, name+": not known to the recorder")
		case uringOps[opcode].gap != "":
			add(n.Begun, name+": "+uringOps[opcode].gap)
		case uringRow(opcode).Op != audit.OpNone && uringRow(opcode).Op != audit.OpClose:
			add(n.Unseen, name+": its result was not seen")
			add(n.Refused, name+": turned down before it began")
		}
	}
	return gaps, nil
}

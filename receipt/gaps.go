package receipt

// The kinds of gaps, in the order of docs/RECEIPT.md, which says what is behind
// each. A later version may add kinds.
const (
	GapNotRecorded      = "not_recorded"      // calls that change things and leave no event
	GapIOUring          = "io_uring"          // operations of io_uring of which not all is known
	GapDaemon           = "daemon"            // a service was reached over a unix socket, and may have worked for the run
	GapRoot             = "root"              // the run had root's rights and could have reached the recorder
	GapCoreDump         = "core_dump"         // the kernel wrote a dead process's memory to a file or a program
	GapSameUser         = "same_user"         // the run had the recorder's own user and could have reached it
	GapKilled           = "killed"            // the recorder ended processes that outlived the command
	GapSurvivors        = "survivors"         // processes went on after the recording
	GapPathCut          = "path_cut"          // a path is known in part
	GapRaced            = "raced"             // a name, its folder or a descriptor may have been changed meanwhile
	GapSharedNames      = "shared_names"      // a name was read from memory that others could write to meanwhile
	GapMountNamespace   = "mount_namespace"   // paths are those of another mount namespace than the recorder's
	GapExecutableMemory = "executable_memory" // code may have run that no file is behind
	GapAnswered         = "answered"          // calls that a filter or a tracer answered in the kernel's place
	GapLinks            = "links"             // a rename between two names of one file does nothing
	GapArgv             = "argv"              // arguments were not captured, or cut
	GapRepeats          = "repeats"           // counts without the event that they belong to
	GapConnect          = "connect"           // outcomes without the attempt that they belong to
	GapDNS              = "dns"               // messages to or from name servers that could not be read
	GapDescriptors      = "descriptors"       // descriptors came from processes outside of the run
	GapRawSocket        = "raw_socket"        // sockets that need no address to send or receive
	GapInterrupted      = "interrupted"       // calls that a signal broke off
	GapSharedMapping    = "shared_mapping"    // files could be changed through memory
	GapFinal            = "final"             // what stood at written paths at the end is not known
	GapOutput           = "output"            // output after the command's end was not passed on
	GapBackpressure     = "backpressure"      // the command could not be frozen as it should
	GapMapFull          = "map_full"          // a table in the kernel was full
	GapWaitTree         = "wait_tree"         // the waiting for the tree ended before the tree did
	GapCgroup           = "cgroup"            // the run had no cgroup of its own
	GapJournal          = "journal"           // a killed recorder would have left less than all
	GapUnobserved       = "unobserved"        // what happened after a killed recorder was gone
	GapRecorder         = "recorder"          // what was lost with a killed recorder
	GapFallback         = "fallback"          // why a better way to observe was not taken
	GapPtrace           = "ptrace"            // what the command could not do because it was traced
	GapSyscalls         = "syscalls"          // calls that were not counted
	GapServed           = "served"            // what was not looked up, since a process of the run might have had to answer
	GapProxy            = "proxy"             // requests to the proxy of a virtual machine that are not listed
	GapRedaction        = "redaction"         // secrets that were taken out without a commitment
)

// AddGap adds a gap that another recorder has told of. What follows from its
// records may be among these already: that is one gap, not two.
func (o *Observation) AddGap(gap Gap) {
	for i := range o.Gaps {
		if g := &o.Gaps[i]; g.Kind == gap.Kind && g.Detail == gap.Detail {
			g.Count = max(g.Count, gap.Count)
			return
		}
	}
	o.Gaps = append(o.Gaps, gap)
}

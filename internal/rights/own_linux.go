package rights

import (
	"os"

	"github.com/moby/sys/capability"
)

// The machine's own user namespace has had this name since there are names.
const initialUserNamespace = "user:[4026531837]"

// Own are the rights of this process, as far as they can be read.
func Own() Linux {
	var l Linux
	name, err := os.Readlink("/proc/self/ns/user")
	l.UserNamespace = err == nil && name != initialUserNamespace
	self, err := capability.NewPid2(0)
	if err != nil || self.Load() != nil {
		return l
	}
	enough := func(set capability.CapType) bool {
		return self.Get(set, capability.CAP_SYS_ADMIN) ||
			self.Get(set, capability.CAP_BPF) && self.Get(set, capability.CAP_PERFMON)
	}
	l.Bounded = !enough(capability.BOUNDING)
	l.Capable = !l.UserNamespace && enough(capability.EFFECTIVE)
	return l
}

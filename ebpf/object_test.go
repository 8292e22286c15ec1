//go:build linux && (amd64 || arm64)

package ebpf

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/elastic/go-seccomp-bpf/arch"

	"glasshouse/audit"
	"glasshouse/audit/calls"
)

var objects = []string{"probes_x86_bpfel.o", "probes_arm64_bpfel.o"}

// The C sources are the one place where a layout is decided.
func TestLayouts(t *testing.T) {
	for _, name := range objects {
		spec, err := ebpf.LoadCollectionSpec(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkObject(spec); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A layout that differs must be found.
func TestCheckLayoutFindsDifferences(t *testing.T) {
	spec, err := loadProbes()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(s *btf.Struct){
		"size":    func(s *btf.Struct) { s.Size++ },
		"offset":  func(s *btf.Struct) { s.Members[1].Offset += 8 },
		"missing": func(s *btf.Struct) { s.Members = s.Members[1:] },
		"width":   func(s *btf.Struct) { s.Members[0].Type = s.Members[len(s.Members)-1].Type },
	} {
		var found *btf.Struct
		if err := spec.Types.TypeByName("event", &found); err != nil {
			t.Fatal(err)
		}
		before := *found
		found.Members = append([]btf.Member(nil), found.Members...)
		change(found)
		if err := checkLayouts(spec); err == nil || !strings.Contains(err.Error(), "struct event") {
			t.Errorf("%s: %v", name, err)
		}
		*found = before
	}
	if err := checkLayouts(spec); err != nil {
		t.Error(err)
	}
}

// An object of another build is found before it is loaded.
func TestCheckObject(t *testing.T) {
	for want, change := range map[string]func(*ebpf.CollectionSpec){
		"map folds is missing":          func(s *ebpf.CollectionSpec) { delete(s.Maps, "folds") },
		"map marks is another":          func(s *ebpf.CollectionSpec) { s.Maps["marks"].ValueSize++ },
		"program sys_exit is missing":   func(s *ebpf.CollectionSpec) { delete(s.Programs, "sys_exit") },
		"program sys_exit is another":   func(s *ebpf.CollectionSpec) { s.Programs["sys_exit"].AttachTo = "sys_enter" },
		"variable hash_seed is missing": func(s *ebpf.CollectionSpec) { delete(s.Variables, "hash_seed") },
		"no BTF":                        func(s *ebpf.CollectionSpec) { s.Types = nil },
	} {
		spec, err := loadProbes()
		if err != nil {
			t.Fatal(err)
		}
		change(spec)
		if err := checkObject(spec); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// The numbers of enum op stand in the records and in the table of calls.
func TestOps(t *testing.T) {
	spec, err := loadProbes()
	if err != nil {
		t.Fatal(err)
	}
	var ops *btf.Enum
	if err := spec.Types.TypeByName("op", &ops); err != nil {
		t.Fatal(err)
	}
	want := map[string]audit.Op{
		"OP_NONE": audit.OpNone, "OP_OPEN": audit.OpOpen, "OP_EXEC": audit.OpExec, "OP_UNLINK": audit.OpUnlink,
		"OP_RMDIR": audit.OpRmdir, "OP_RENAME": audit.OpRename, "OP_CONNECT": audit.OpConnect, "OP_SENDTO": audit.OpSendto,
		"OP_SENDMSG": audit.OpSendmsg, "OP_MOVE": audit.OpMove, "OP_SENDMMSG": audit.OpSendmmsg, "OP_RECVMMSG": audit.OpRecvmmsg,
		"OP_MMAP": audit.OpMmap, "OP_FORK": audit.OpFork, "OP_NO_RETURN": audit.OpNoReturn,
		"OP_MKDIR": audit.OpMkdir, "OP_MKNOD": audit.OpMknod, "OP_SYMLINK": audit.OpSymlink, "OP_LINK": audit.OpLink,
		"OP_TRUNCATE": audit.OpTruncate, "OP_CHMOD": audit.OpChmod, "OP_CHOWN": audit.OpChown, "OP_UTIMES": audit.OpUtimes,
		"OP_XATTR": audit.OpXattr, "OP_MOUNT": audit.OpMount, "OP_UMOUNT": audit.OpUmount, "OP_MOVE_MOUNT": audit.OpMoveMount,
		"OP_SET_MOUNT": audit.OpSetMount, "OP_PIVOT_ROOT": audit.OpPivotRoot, "OP_MPROTECT": audit.OpMprotect,
		"OP_FALLOCATE": audit.OpFallocate, "OP_SHARE": audit.OpShare,
		"OP_FLAGS": audit.OpFlags, "OP_IOCTL": audit.OpIoctl,
		"OP_SOCKET": audit.OpSocket, "OP_BIND": audit.OpBind, "OP_LISTEN": audit.OpListen, "OP_ACCEPT": audit.OpAccept,
		"OP_RECVFROM": audit.OpRecvfrom, "OP_RECVMSG": audit.OpRecvmsg,
		"OP_CLOSE": audit.OpClose,
	}
	for _, v := range ops.Values {
		if op, ok := want[v.Name]; !ok || uint64(op) != v.Value {
			t.Errorf("%s is %d, not %d", v.Name, v.Value, op)
		}
		delete(want, v.Name)
	}
	if len(want) != 0 {
		t.Errorf("not in enum op: %v", want)
	}
}

// Every name in the table is a call of some ABI of some architecture, so that a
// typing error does not leave a call unrecorded.
func TestCallTable(t *testing.T) {
	known := make(map[string]bool)
	for _, a := range []*arch.Info{arch.X86_64, arch.I386, arch.AARCH64, arch.ARM} {
		for _, name := range calls.Names(a) {
			known[name] = true
		}
	}
	for _, a := range abis() {
		for nr, name := range a.names {
			if nr >= a.size {
				continue
			}
			if got := callName(a.base + nr); got != name {
				t.Errorf("%d is %s, not %s", a.base+nr, got, name)
			}
		}
	}
	for name := range calls.Table {
		if !known[name] {
			t.Errorf("%s is no system call", name)
		}
	}
	for alias, name := range calls.Aliases {
		if !known[alias] || calls.Table[name].Op == audit.OpNone {
			t.Errorf("alias %s of %s", alias, name)
		}
	}
	if got := callName(callsOther); got != "syscall_unknown" {
		t.Error(got)
	}
	if got := callName(1000); got != "syscall_1000" {
		t.Error(got)
	}
}

//go:build linux && (amd64 || arm64)

package ptrace

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Where a container's own filter refuses pidfd_getfd, as Docker's does, sockets
// are looked at in the tables of /proc/net. They tell the addresses of a socket
// that has any; what kind it is the call that made it says.

// socketKind is what kind of socket one is.
type socketKind struct{ family, kind, protocol uint16 }

// netTables are those tables, and what is in them.
var netTables = []struct {
	name string
	socketKind
}{
	{"tcp", socketKind{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP}},
	{"tcp6", socketKind{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP}},
	{"udp", socketKind{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP}},
	{"udp6", socketKind{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP}},
	{"unix", socketKind{family: unix.AF_UNIX}},
}

// withDefault has the protocol that the kernel takes 0 for.
func (k socketKind) withDefault() socketKind {
	if k.protocol == 0 && (k.family == unix.AF_INET || k.family == unix.AF_INET6) {
		switch k.kind {
		case unix.SOCK_STREAM:
			k.protocol = unix.IPPROTO_TCP
		case unix.SOCK_DGRAM:
			k.protocol = unix.IPPROTO_UDP
		}
	}
	return k
}

// made notes what kind of socket a call has made.
func (t *tracer) made(id uint64, family, kind, protocol uint64) {
	const most = 1 << 16
	if t.sockets == nil || len(t.sockets) >= most {
		t.sockets = map[uint64]socketKind{}
	}
	t.sockets[id] = socketKind{uint16(family), uint16(kind & 0xf), uint16(protocol)}.withDefault()
}

// fromTables fills in what is known of a socket without looking at it.
func (t *tracer) fromTables(th *thread, s *socket) bool {
	k, known := t.sockets[s.id]
	for _, table := range netTables {
		if known && (k.family != table.family || table.kind != 0 && k.kind != table.kind) {
			continue
		}
		if row := netRow(procPath(th.tid, "net/"+table.name), table.family, s.id); row != nil {
			if !known {
				k = table.socketKind
				if row.kind != 0 {
					k.kind = row.kind
				}
				known = true
			}
			s.table = row
			break
		}
	}
	s.family, s.kind, s.protocol = k.family, k.kind, k.protocol
	return known
}

// netSocket is a row of such a table.
type netSocket struct {
	own, peer address
	state     uint8
	kind      uint16 // of unix sockets
}

func netRow(path string, family uint16, id uint64) *netSocket {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	want := strconv.AppendUint(nil, id, 10)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if bytes.Contains(lines.Bytes(), want) {
			if row := parseNetRow(lines.Bytes(), family, string(want)); row != nil {
				return row
			}
		}
	}
	return nil
}

// parseNetRow reads a line of net/tcp and the like, or of net/unix, if it is
// about the socket with that inode number; else it returns nil.
func parseNetRow(line []byte, family uint16, id string) *netSocket {
	fields := bytes.Fields(line)
	if family == unix.AF_UNIX {
		// Num RefCount Protocol Flags Type St Inode Path
		if len(fields) < 7 || string(fields[6]) != id {
			return nil
		}
		kind, err := strconv.ParseUint(string(fields[4]), 16, 16)
		if err != nil {
			return nil
		}
		row := &netSocket{kind: uint16(kind)}
		if len(fields) > 7 {
			_, path, _ := bytes.Cut(line, append(append([]byte(" "), fields[6]...), ' '))
			row.own = unixAddress(path)
		}
		return row
	}
	// sl local_address rem_address st queues timer retransmits uid timeout inode
	if len(fields) < 10 || string(fields[9]) != id {
		return nil
	}
	own, ok := hexAddress(string(fields[1]), family)
	peer, ok2 := hexAddress(string(fields[2]), family)
	state, err := strconv.ParseUint(string(fields[3]), 16, 8)
	if !ok || !ok2 || err != nil {
		return nil
	}
	if peer.port() == 0 {
		peer = address{}
	}
	return &netSocket{own: own, peer: peer, state: uint8(state)}
}

// unixAddress is the struct sockaddr_un of a name of net/unix.
func unixAddress(name []byte) address {
	a := address{len: 2 + min(len(name), 108)}
	binary.LittleEndian.PutUint16(a.data[:], unix.AF_UNIX)
	copy(a.data[2:], name[:a.len-2])
	if len(name) > 0 && name[0] == '@' {
		a.data[2] = 0
	}
	return a
}

// hexAddress is the struct sockaddr_in or sockaddr_in6 of "0100007F:0050": words
// as this machine has them, and a port.
func hexAddress(text string, family uint16) (address, bool) {
	words := 1
	at := 4
	a := address{len: 16}
	if family == unix.AF_INET6 {
		words, at, a.len = 4, 8, 28
	}
	if len(text) != words*8+5 || text[words*8] != ':' {
		return address{}, false
	}
	binary.LittleEndian.PutUint16(a.data[:], family)
	for i := range words {
		n, err := strconv.ParseUint(text[i*8:i*8+8], 16, 32)
		if err != nil {
			return address{}, false
		}
		binary.LittleEndian.PutUint32(a.data[at+4*i:], uint32(n))
	}
	port, err := strconv.ParseUint(text[words*8+1:], 16, 16)
	if err != nil {
		return address{}, false
	}
	binary.BigEndian.PutUint16(a.data[2:], uint16(port))
	return a, true
}

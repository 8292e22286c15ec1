package audit

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// From include/linux/socket.h and include/uapi/linux/in.h.
const (
	afUnix     = 1
	afInet     = 2
	afInet6    = 10
	sockStream = 1
	sockDgram  = 2
	protoTCP   = 6
	protoUDP   = 17
	protoMPTCP = 262
)

var families = map[uint16]string{16: "netlink", 17: "packet", 31: "bluetooth", 38: "alg", 40: "vsock"}

func connect(head Header, h *WireHead, segs *[RecordSegments]segment) *Connect {
	b := body[WireNet](h)
	e := &Connect{
		Header: head, Errno: -h.Err, Result: result(-h.Err),
		Protocol: protocol(b.Family, b.Type, b.Protocol),
		Raced:    segs[0].flags&SegRaced != 0, Shared: segs[0].flags&SegShared != 0,
		OtherNS: (segs[0].flags|segs[2].flags)&SegOtherNS != 0,
		Own:     b.Own != 0,
	}
	if Op(h.Op) != OpConnect && b.Family != afUnix {
		e.ID = repeatID(h) // datagrams to one address are folded
	}
	switch b.Family {
	case afUnix:
		e.Dst = unixAddress(segs)
	case afInet, afInet6:
		e.Dst = internetAddress(b.Family, b.Addr, b.Scope, b.Port)
	default:
		e.Dst = e.Protocol
	}
	if e.Result == ResultInProgress {
		if e.Protocol == "tcp" || e.Protocol == "mptcp" {
			e.Socket = b.Sock
		} else if e.Errno != eIOCBQUEUED {
			e.Result = ResultFailed // a signal broke it off, and nothing goes on behind it
		}
	}
	if Op(h.Op) != OpConnect && e.Result == ResultConnected {
		e.Result = ResultSent
	}
	return e
}

// protocol names the protocol of a socket: that of the internet by its number
// where there is no better name, all others by their family.
func protocol(family, kind, number uint16) string {
	switch family {
	case afUnix:
		return "unix"
	case afInet, afInet6:
		switch {
		case kind == sockStream && number == protoTCP:
			return "tcp"
		case kind == sockStream && number == protoMPTCP:
			return "mptcp"
		case kind == sockDgram && number == protoUDP:
			return "udp"
		}
		return "ip/" + strconv.Itoa(int(number))
	}
	if name := families[family]; name != "" {
		return name
	}
	return "family/" + strconv.Itoa(int(family))
}

func internetAddress(family uint16, bytes [16]byte, scope uint32, port uint16) string {
	addr := netip.AddrFrom16(bytes)
	if family == afInet {
		addr = netip.AddrFrom4([4]byte(bytes[:4]))
	}
	// ::ffff:192.0.2.1 reaches 192.0.2.1, whatever the socket's family.
	addr = addr.Unmap()
	if addr.Is6() && scope != 0 {
		addr = addr.WithZone(strconv.FormatUint(uint64(scope), 10))
	}
	return netip.AddrPortFrom(addr, port).String()
}

// ownScope is the interface that belongs to an address of a socket itself:
// only to one that means something else on another.
func ownScope(family uint16, bytes [16]byte, iface uint32) uint32 {
	if addr := netip.AddrFrom16(bytes); family == afInet6 && addr.IsLinkLocalUnicast() {
		return iface
	}
	return 0
}

func listen(head Header, h *WireHead, segs *[RecordSegments]segment) (Event, error) {
	b := body[WireNet](h)
	name := protocol(b.Family, b.Type, b.Protocol)
	addr := name
	switch b.Family {
	case afUnix:
		addr = unixName(segs[0], segs[1])
	case afInet, afInet6:
		addr = internetAddress(b.Family, b.Addr, ownScope(b.Family, b.Addr, b.Scope), b.Port)
	}
	switch Op(h.Op) {
	case OpConnect:
		return &Client{Header: head, Socket: b.Sock}, nil
	case OpBind:
		e := &Bind{Header: head, Socket: b.Sock, Protocol: name, Addr: addr, Awaits: b.Type == sockDgram}
		if b.Family == afUnix && len(segs[0].data) > 0 {
			e.File = uncached.path(segs[0])
		}
		return e, nil
	case OpListen:
		if segs[0].flags&SegRaced != 0 {
			return &Listen{Header: head, Raced: true}, nil
		}
		if name == "mptcp" {
			name = "tcp" // which it answers as well, and which more programs speak
		}
		return &Listen{Header: head, Protocol: name, Addr: addr, OtherNS: segs[0].flags&SegOtherNS != 0}, nil
	}
	return nil, &MalformedError{fmt.Sprintf("operation %d on a socket of one's own", h.Op)}
}

func accept(head Header, h *WireHead, segs *[RecordSegments]segment) *Accept {
	b := body[WireAccept](h)
	e := &Accept{
		Header: head, Raced: segs[0].flags&SegRaced != 0, OtherNS: (segs[0].flags|segs[2].flags)&SegOtherNS != 0,
	}
	if b.Family == 0 {
		return e // nothing was left to look at
	}
	e.Protocol = protocol(b.Family, b.Type, b.Protocol)
	switch b.Family {
	case afUnix:
		e.Addr, e.Src = unixName(segs[0], segs[1]), unixName(segs[2], segs[3])
	case afInet, afInet6:
		e.Addr = internetAddress(b.Family, b.Own, ownScope(b.Family, b.Own, b.Scope), b.OwnPort)
		e.Src = internetAddress(b.Family, b.Addr, ownScope(b.Family, b.Addr, b.Scope), b.Port)
	default:
		e.Addr, e.Src = e.Protocol, e.Protocol
	}
	return e
}

// unixName is the name that a socket is bound to: the path of its file, an
// abstract name, or none.
func unixName(file, name segment) string {
	if len(file.data) > 0 {
		return "unix:" + uncached.path(file).Name
	}
	if len(name.data) == 0 {
		return "unix:"
	}
	// Abstract: every byte counts, a NUL too. /proc/net/unix shows them as @.
	return "unix:@" + strings.ReplaceAll(string(name.data[1:]), "\x00", "@")
}

// unixAddress is the path that the peer was bound to (segment 0), the
// abstract name, or what was asked for (1) from the working directory (2).
func unixAddress(segs *[RecordSegments]segment) string {
	name := segs[1].data
	if len(segs[0].data) > 0 || len(name) == 0 || name[0] == 0 {
		return unixName(segs[0], segs[1])
	}
	if i := bytes.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	return "unix:" + uncached.target(segs[2], segment{data: name}).Name()
}

// From include/uapi/asm-generic/errno*.h; the values are those of amd64 and arm64.
const (
	ePERM           = 1
	eNOENT          = 2
	eINTR           = 4
	eACCES          = 13
	eNETUNREACH     = 101
	eCONNRESET      = 104
	eTIMEDOUT       = 110
	eCONNREFUSED    = 111
	eHOSTUNREACH    = 113
	eINPROGRESS     = 115
	eRESTARTSYS     = 512
	eRESTARTNOINTR  = 513
	eRESTARTNOHAND  = 514
	eRESTARTRESTART = 516
	eIOCBQUEUED     = 529 // from include/linux/errno.h: the result will not be reported
)

// result names the outcome of an attempt to connect.
func result(errno int32) string {
	switch errno {
	case 0:
		return ResultConnected
	case eCONNREFUSED:
		return ResultRefused
	case eTIMEDOUT:
		return ResultTimeout
	case eNETUNREACH, eHOSTUNREACH:
		return ResultUnreachable
	case eCONNRESET:
		return ResultReset
	case ePERM, eACCES:
		return ResultDenied
	case eINPROGRESS, eINTR, eRESTARTSYS, eRESTARTNOINTR, eRESTARTNOHAND, eRESTARTRESTART, eIOCBQUEUED:
		return ResultInProgress
	}
	return ResultFailed
}

// String is for diagnostics.
func (id ProcessID) String() string { return fmt.Sprintf("%d@%d", id.PID, id.Start) }

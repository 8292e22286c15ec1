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
)

var families = map[uint16]string{16: "netlink", 17: "packet", 31: "bluetooth", 38: "alg", 40: "vsock"}

func connect(head Header, h *WireHead, segs [wireSegments]segment) *Connect {
	b := body[WireNet](h)
	e := &Connect{Header: head, ID: repeatID(h), Socket: b.Sock, Errno: -h.Err, Result: result(-h.Err)}
	switch b.Family {
	case afUnix:
		e.Protocol, e.Dst = "unix", unixAddress(segs)
	case afInet, afInet6:
		e.Protocol, e.Dst = internetProtocol(b), internetAddress(b)
	default:
		name := families[b.Family]
		if name == "" {
			name = "family/" + strconv.Itoa(int(b.Family))
		}
		e.Protocol, e.Dst = name, name
	}
	if e.Protocol != "tcp" && e.Result == ResultInProgress {
		e.Result = ResultFailed // a signal broke it off, and nothing goes on behind it
	}
	if Op(h.Op) != OpConnect && e.Result == ResultConnected {
		e.Result = ResultSent
	}
	return e
}

func internetProtocol(b WireNet) string {
	switch {
	case b.Type == sockStream && b.Protocol == protoTCP:
		return "tcp"
	case b.Type == sockDgram && b.Protocol == protoUDP:
		return "udp"
	}
	return "ip/" + strconv.Itoa(int(b.Protocol))
}

func internetAddress(b WireNet) string {
	addr := netip.AddrFrom16(b.Addr)
	if b.Family == afInet {
		addr = netip.AddrFrom4([4]byte(b.Addr[:4]))
	}
	// ::ffff:192.0.2.1 reaches 192.0.2.1, whatever the socket's family.
	addr = addr.Unmap()
	if addr.Is6() && b.Scope != 0 {
		addr = addr.WithZone(strconv.FormatUint(uint64(b.Scope), 10))
	}
	return netip.AddrPortFrom(addr, b.Port).String()
}

// unixAddress is the path that the peer was bound to (segment 0), the
// abstract name, or what was asked for (1) from the working directory (2).
func unixAddress(segs [wireSegments]segment) string {
	if len(segs[0].data) > 0 {
		return "unix:" + path(segs[0]).Name
	}
	name := segs[1].data
	if len(name) == 0 {
		return "unix:"
	}
	if name[0] == 0 {
		// Abstract: every byte counts, a NUL too. /proc/net/unix shows them as @.
		return "unix:@" + strings.ReplaceAll(string(name[1:]), "\x00", "@")
	}
	if i := bytes.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	return "unix:" + target(segs[2], segment{data: name}).Name()
}

// From include/uapi/asm-generic/errno*.h; the values are those of amd64 and arm64.
const (
	ePERM           = 1
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
	case eINPROGRESS, eINTR, eRESTARTSYS, eRESTARTNOINTR, eRESTARTNOHAND, eRESTARTRESTART:
		return ResultInProgress
	}
	return ResultFailed
}

// String is for diagnostics.
func (id ProcessID) String() string { return fmt.Sprintf("%d@%d", id.PID, id.Start) }

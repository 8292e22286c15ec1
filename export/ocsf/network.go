package ocsf

import (
	"path"
	"strconv"
	"strings"

	"glasshouse/receipt"
	"glasshouse/receipt/address"
)

func (x *exporter) attempt(t receipt.Attempt) event {
	e := event{ClassUID: networkActivity, ActivityID: networkFail, StatusID: failure, StatusCode: t.Result}
	switch t.Result {
	case "connected":
		e.ActivityID, e.StatusID = networkOpen, success
	case "in_progress": // nobody knows what came of it
		e.ActivityID, e.StatusID = networkOpen, unknown
	case "sent":
		e.ActivityID, e.StatusID = networkTraffic, success
	case "refused":
		e.ActivityID = networkRefuse
	case "reset":
		e.ActivityID = networkReset
	}
	e.Actor = &actor{Process: x.process(t.PID)}
	how := "hostname inferred from an answer to a DNS query"
	if t.Source == receipt.SourceProxy { // which does not know the process
		e.Actor, how = x.command, "hostname that the proxy was asked for"
		e.more("source", t.Source)
	}
	e.DstEndpoint = endpointAt(t.Dst)
	e.ConnectionInfo = connection(t.Protocol, t.Dst, directionOutbound)
	e.times(t.Count)
	if t.Host != nil {
		e.Enrichments = []enrichment{{
			Name: "dst_endpoint", Value: t.Dst, Type: how,
			Data: map[string]string{"hostname": *t.Host},
		}}
	}
	if t.Policy != "" {
		e.more("policy", t.Policy)
	}
	return e
}

func (x *exporter) listen(l receipt.Listen) event {
	return event{
		ClassUID: networkActivity, ActivityID: networkListen, StatusID: success,
		Actor:          &actor{Process: x.process(l.PID)},
		DstEndpoint:    endpointAt(l.Addr),
		ConnectionInfo: connection(l.Protocol, l.Addr, directionUnknown),
	}
}

func (x *exporter) accept(a receipt.Accept) event {
	e := event{
		ClassUID: networkActivity, ActivityID: networkOpen, StatusID: success,
		Actor:          &actor{Process: x.process(a.PID)},
		SrcEndpoint:    endpointAt(a.Src),
		DstEndpoint:    endpointAt(a.Addr),
		ConnectionInfo: connection(a.Protocol, a.Src, directionInbound),
	}
	e.times(a.Count)
	return e
}

func (x *exporter) question(q receipt.DNSQuery) event {
	e := event{
		ClassUID: dnsActivity, ActivityID: dnsQuery, StatusID: unknown,
		Actor:       &actor{Process: x.process(q.PID)},
		DstEndpoint: endpointAt(q.Server),
		Query:       &query{q.Name, q.Type},
	}
	e.times(q.Count)
	return e
}

// endpointAt names what has no address of the internet as the receipt does.
func endpointAt(addr string) *endpoint {
	at := address.Parse(addr)
	if !at.IP.IsValid() {
		return &endpoint{Name: orUnknown(addr)}
	}
	port := int(at.Port)
	return &endpoint{IP: at.IP.String(), Port: &port}
}

// connection tells of one with peer, which began in the direction given unless
// the peer is on this machine.
func connection(protocol, peer string, direction int) *connectionInfo {
	at := address.Parse(peer)
	c := &connectionInfo{ProtocolName: protocol, DirectionID: direction}
	number := func(n int) { c.ProtocolNum = &n }
	switch name, ip, _ := strings.Cut(protocol, "/"); {
	case protocol == "tcp":
		number(6)
	case protocol == "udp":
		number(17)
	case name == "ip":
		if n, err := strconv.ParseUint(ip, 10, 8); err == nil {
			number(int(n))
		}
	}
	if at.IP.Is4() {
		c.ProtocolVerID = 4
	} else if at.IP.Is6() {
		c.ProtocolVerID = 6
	}
	if at.Local() {
		c.BoundaryID = boundaryLocalhost
		if direction != directionUnknown {
			c.DirectionID = directionLocal
		}
	}
	return c
}

// deviceOf is a machine whose name a receipt does not know.
func deviceOf(env receipt.Environment) *device {
	d := &device{Name: "Unknown"}
	switch env.OS {
	case "":
	case "linux":
		d.OS = &system{Name: "Linux", TypeID: osLinux, KernelRelease: env.Kernel}
	default:
		d.OS = &system{Name: env.OS, Type: env.OS, TypeID: osOther, KernelRelease: env.Kernel}
	}
	return d
}

func appName(c receipt.Command) string {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return "Unknown"
	}
	return path.Base(c.Argv[0])
}

func orUnknown(s string) string {
	if s == "" {
		return "Unknown"
	}
	return s
}

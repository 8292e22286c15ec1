package audit

import "glasshouse/receipt"

// ownSockets are the addresses at which somebody could reach the run, and who did.
type ownSockets struct {
	listens map[ownAddress]uint64 // how many times; 0: all of them were clients
	clients map[uint64]ownAddress // sockets that may turn out to be one
	accepts map[accepted]uint64
}

func newOwnSockets() ownSockets {
	return ownSockets{map[ownAddress]uint64{}, map[uint64]ownAddress{}, map[accepted]uint64{}}
}

type ownAddress struct {
	process        ProcessID
	addr, protocol string
}

type accepted struct {
	own ownAddress
	src string
}

func (t *ownSockets) bind(e *Bind) {
	if !e.Awaits {
		return
	}
	key := ownAddress{e.Process, e.Addr, e.Protocol}
	t.listens[key] = addSat(t.listens[key], 1)
	if e.Socket != 0 {
		t.clients[e.Socket] = key
	}
}

func (t *ownSockets) client(e *Client) {
	key, ok := t.clients[e.Socket]
	if !ok {
		return
	}
	delete(t.clients, e.Socket)
	if t.listens[key]--; t.listens[key] == 0 {
		delete(t.listens, key)
	}
}

func (t *networkTable) listen(e *Listen) {
	if e.Addr == "" {
		return // the socket was gone
	}
	key := ownAddress{e.Process, e.Addr, e.Protocol}
	t.own.listens[key] = addSat(t.own.listens[key], 1)
}

func (t *networkTable) accept(e *Accept) {
	if e.Addr == "" {
		return
	}
	key := accepted{ownAddress{e.Process, e.Addr, e.Protocol}, e.Src}
	t.own.accepts[key] = addSat(t.own.accepts[key], 1)
}

func (t *ownSockets) fill(n *receipt.Network) {
	n.Listens = make([]receipt.Listen, 0, len(t.listens))
	for key := range t.listens {
		n.Listens = append(n.Listens, receipt.Listen{Addr: key.addr, Protocol: key.protocol, PID: key.process.PID})
	}
	n.Accepts = make([]receipt.Accept, 0, len(t.accepts))
	for key, count := range t.accepts {
		n.Accepts = append(n.Accepts, receipt.Accept{
			Src: key.src, Addr: key.own.addr, Protocol: key.own.protocol, PID: key.own.process.PID, Count: count,
		})
	}
}

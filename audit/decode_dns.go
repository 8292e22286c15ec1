package audit

import (
	"encoding/binary"
)

// Over TCP each message follows its length in two bytes, and calls cut the
// stream where they like.

const (
	dnsMessageMax = 4096 // bytes that are kept of one message over TCP
	dnsStreamsMax = 1024 // streams that are followed at a time
)

type streamKey struct {
	socket uint64
	answer bool
}

// dnsStream is one direction of a TCP connection to a name server.
type dnsStream struct {
	last    DNS    // whose head the next message gets
	prefix  []byte // of the length, as far as it came
	message []byte
	left    int  // bytes of the message that have not come
	cut     bool // message lacks some that have
	lost    bool // where the next message begins is not known
}

func (d *Decoder) dns(head Header, h *WireHead, s segment) {
	b := body[WireNet](h)
	e := DNS{
		Header: head, Socket: b.Sock, Answer: Op(h.Op) != OpSendto,
		Server: internetAddress(b.Family, b.Addr, b.Scope, b.Port),
	}
	missing := max(0, int(b.Size)-len(s.data))
	if b.Type != sockStream {
		d.dnsMessage(e, s.data, missing > 0)
		return
	}
	key := streamKey{b.Sock, e.Answer}
	stream := d.streams[key]
	if stream == nil {
		if len(d.streams) >= dnsStreamsMax {
			for key, old := range d.streams {
				d.dnsEnd(old)
				delete(d.streams, key)
				break
			}
		}
		stream = &dnsStream{}
		d.streams[key] = stream
	}
	stream.last = e
	d.dnsFeed(stream, s.data, missing)
}

// dnsFeed takes the next bytes of a stream, and so many that were not copied.
func (d *Decoder) dnsFeed(s *dnsStream, data []byte, missing int) {
	if s.lost {
		// A single whole message is a good place to go on.
		if len(data) < 2 || int(binary.BigEndian.Uint16(data))+2 != len(data)+missing {
			d.unreadDNS(s.last)
			return
		}
		s.lost = false
	}
	for len(data) > 0 {
		if len(s.prefix) < 2 {
			s.prefix = append(s.prefix, data[0])
			data = data[1:]
			if len(s.prefix) == 2 {
				s.left = int(binary.BigEndian.Uint16(s.prefix))
			}
		}
		n := min(s.left, len(data))
		kept := min(n, dnsMessageMax-len(s.message))
		s.message = append(s.message, data[:kept]...)
		s.cut = s.cut || kept < n
		data = data[n:]
		s.left -= n
		d.dnsWhole(s)
	}
	if missing == 0 {
		return
	}
	if missing > s.left {
		if len(s.prefix) == 0 {
			d.unreadDNS(s.last)
		}
		d.dnsEnd(s)
		s.lost = true
		return
	}
	s.left -= missing
	s.cut = true
	d.dnsWhole(s)
}

// dnsWhole hands over the message if all of it has come.
func (d *Decoder) dnsWhole(s *dnsStream) {
	if len(s.prefix) == 2 && s.left == 0 {
		d.dnsMessage(s.last, s.message, s.cut)
		s.begin()
	}
}

// dnsEnd ends a stream wherever it is.
func (d *Decoder) dnsEnd(s *dnsStream) {
	if len(s.prefix) > 0 {
		d.dnsMessage(s.last, s.message, true)
	}
	s.begin()
}

func (s *dnsStream) begin() {
	s.prefix, s.message, s.left, s.cut = s.prefix[:0], nil, 0, false
}

// dnsReset forgets the streams of a socket that connects anew.
func (d *Decoder) dnsReset(socket uint64) {
	for _, answer := range []bool{false, true} {
		key := streamKey{socket, answer}
		if s := d.streams[key]; s != nil {
			d.dnsEnd(s)
			delete(d.streams, key)
		}
	}
}

func (d *Decoder) dnsFlush(sink Sink) {
	for key, s := range d.streams {
		d.dnsEnd(s)
		delete(d.streams, key)
	}
	for _, e := range d.more {
		sink(e)
	}
	d.more = d.more[:0]
}

func (d *Decoder) dnsMessage(e DNS, message []byte, cut bool) {
	if readDNS(&e, message, cut) {
		d.more = append(d.more, &e)
	}
}

func (d *Decoder) unreadDNS(e DNS) {
	e.Unread = true
	d.more = append(d.more, &e)
}

package audit

import (
	"math/rand/v2"
	"testing"

	"glasshouse/receipt"
)

func TestListens(t *testing.T) {
	bind := func(time, socket uint64, protocol, addr string, awaits bool) *Bind {
		return &Bind{Header: by(root, time), Socket: socket, Protocol: protocol, Addr: addr, Awaits: awaits}
	}
	file := bind(9, 0, "unix", "unix:/run/s", false)
	file.File = Path{Name: "/run/s", OtherNS: true}
	events := []Event{
		bind(1, 0, "udp", "0.0.0.0:69", true),
		bind(2, 5, "udp", "0.0.0.0:4000", true), &Client{Header: by(root, 3), Socket: 5},
		bind(4, 5, "udp", "0.0.0.0:4001", true), // the socket's number is used again
		bind(5, 6, "udp", "0.0.0.0:4002", true), bind(6, 7, "udp", "0.0.0.0:4002", true), &Client{Header: by(child, 7), Socket: 6},
		&Client{Header: by(root, 8), Socket: 99}, // of a bind that was lost
		file,
		&Listen{Header: by(root, 10), Protocol: "unix", Addr: "unix:/run/s"},
		&Listen{Header: by(root, 11), Protocol: "tcp", Addr: "[::]:80", OtherNS: true}, &Listen{Header: by(root, 12), Protocol: "tcp", Addr: "[::]:80"},
		&Listen{Header: by(child, 13), Protocol: "tcp", Addr: "[::]:80"},
		&Listen{Header: by(root, 14), Raced: true},
		&Accept{Header: by(root, 15), Protocol: "tcp", Src: "192.0.2.1:5", Addr: "192.0.2.9:80"},
		&Accept{Header: by(root, 16), Protocol: "tcp", Src: "192.0.2.1:5", Addr: "192.0.2.9:80", Raced: true},
		&Accept{Header: by(child, 17), Protocol: "unix", Src: "unix:", Addr: "unix:/run/s"},
		&Accept{Header: by(child, 18), Raced: true},
	}
	rng := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		r := fold(t, events...)
		check(t, "listens", r.Network.Listens, []receipt.Listen{
			{Addr: "0.0.0.0:4001", Protocol: "udp", PID: 100},
			{Addr: "0.0.0.0:4002", Protocol: "udp", PID: 100},
			{Addr: "0.0.0.0:69", Protocol: "udp", PID: 100},
			{Addr: "[::]:80", Protocol: "tcp", PID: 100},
			{Addr: "[::]:80", Protocol: "tcp", PID: 101},
			{Addr: "unix:/run/s", Protocol: "unix", PID: 100},
		})
		check(t, "accepts", r.Network.Accepts, []receipt.Accept{
			{Src: "192.0.2.1:5", Addr: "192.0.2.9:80", Protocol: "tcp", PID: 100, Count: 2},
			{Src: "unix:", Addr: "unix:/run/s", Protocol: "unix", PID: 101, Count: 1},
		})
		check(t, "created", r.Filesystem.Created, []receipt.Created{{Path: "/run/s", Kind: "socket", Source: "kernel"}})
		check(t, "gaps", r.Observation.Gaps, []receipt.Gap{
			{Kind: "mount_namespace", Detail: "bind", Count: 1},
			{Kind: "mount_namespace", Detail: "listen", Count: 1},
			{Kind: "raced", Detail: "accept", Count: 2},
			{Kind: "raced", Detail: "listen", Count: 1},
		})
		rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	}
}

// Events are let go in the order of their times, once none before them can come.
func TestRecentEvents(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	r := newRecentEvents()
	const n, step = 20_000, uint64(1e6) // ns
	var times []uint64
	take := func(events []Event) {
		for _, e := range events {
			times = append(times, e.Head().Time)
		}
	}
	most := 0
	for i := range uint64(n) {
		at := i*step + 1e9
		at -= min(at, rng.Uint64N(reorder/2))
		take(r.add(&Client{Header: Header{Time: at}}))
		most = max(most, len(r.events))
	}
	take(r.rest())
	if len(times) != n || most > 4*recentMin {
		t.Errorf("%d of %d, %d at most", len(times), n, most)
	}
	for i := 1; i < len(times); i++ {
		if times[i] < times[i-1] {
			t.Fatalf("%d after %d", times[i], times[i-1])
		}
	}
	// So many at once that some have to go.
	for range 3 * recentMax {
		r.add(&Client{Header: Header{Time: 5}})
	}
	if len(r.events) > recentMax {
		t.Errorf("%d are held", len(r.events))
	}
}

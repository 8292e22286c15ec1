package agent

import (
	"net"
	"time"

	"glasshouse/backend/microvm/channel"
)

// proxyConns is how many connections are taken from the command at once. The host
// takes fewer, and others wait for those; this many may wait in here.
const proxyConns = 256

// listenForProxy passes on what connects to the proxy's address. What is asked
// for, and whether it may be, is the host's to look at.
func listenForProxy(c *channel.Conn) error {
	l, err := net.Listen("tcp4", proxyAddress)
	if err != nil {
		return err
	}
	slots := make(chan struct{}, proxyConns)
	go func() {
		for {
			slots <- struct{}{}
			client, err := l.Accept()
			if err != nil {
				<-slots
				time.Sleep(10 * time.Millisecond) // there may be too many files, for now
				continue
			}
			go func() {
				defer func() { <-slots }()
				host, err := c.OpenDuplex(channel.Proxy)
				if err != nil {
					_ = client.Close()
					return
				}
				channel.Splice(client.(channel.Duplex), host, nil)
			}()
		}
	}()
	return nil
}

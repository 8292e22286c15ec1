//go:build linux

package adversary

import "testing"

var networkRows = []row{
	{name: "race-connect"},
	{name: "race-sendto"},
	{name: "own-table"},
	{name: "asked-again"},
	{name: "datagrams"},
	{name: "cold-addresses"},
	{name: "many-messages"},
	{name: "address-too-long"},
	{name: "unused-addresses"},
	{name: "passed-on", files: usual},
	{name: "mapped"},
	{name: "reset-before"},
	{name: "unix-names"},
}

func TestNetwork(t *testing.T) { run(t, networkRows) }

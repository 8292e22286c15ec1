// Program i386 is built for 32-bit machines: its system calls come by another
// door, with other numbers and with pointers of half the size.
package main

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"unsafe"
)

func main() {
	check(os.WriteFile("written", []byte("x"), 0o600))
	check(os.Rename("written", "renamed"))
	check(os.Remove("renamed"))
	check(os.Mkdir("dir", 0o700))
	check(syscall.Rmdir("dir"))
	if _, err := os.Open("missing"); !os.IsNotExist(err) {
		check(fmt.Errorf("missing: %v", err))
	}
	// The old mmap, whose arguments lie in memory: the program itself, to run.
	self, err := os.Open("/proc/self/exe")
	check(err)
	args := [6]uint32{0, 4096, syscall.PROT_READ | syscall.PROT_EXEC, syscall.MAP_PRIVATE, uint32(self.Fd()), 0}
	if _, _, errno := syscall.Syscall(syscall.SYS_MMAP, uintptr(unsafe.Pointer(&args)), 0, 0); errno != 0 {
		check(errno)
	}
	for range 100 {
		syscall.Getppid()
	}
	// No call of sockets has that number.
	if _, _, errno := syscall.Syscall(syscall.SYS_SOCKETCALL, 25, 0, 0); errno != syscall.EINVAL {
		check(fmt.Errorf("socketcall: %v", errno))
	}
	c, err := net.Dial("tcp", os.Args[1])
	check(err)
	_, err = c.Write([]byte("four"))
	check(err)
	network()
	if err := syscall.Exec("./nope", []string{"nope", "arg"}, nil); err != syscall.ENOENT {
		check(fmt.Errorf("exec: %v", err))
	}
	check(syscall.Exec("/bin/true", []string{"true", "from 32 bits"}, nil))
}

// network listens, accepts and asks, and says at which addresses.
func network() {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(err)
	c, err := net.Dial("tcp4", l.Addr().String())
	check(err)
	a, err := l.Accept()
	check(err)
	fmt.Println(l.Addr(), c.LocalAddr())
	check(a.Close())
	u, err := net.Dial("udp4", "127.0.0.1:53")
	check(err)
	_, err = u.Write([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04i386\x00\x00\x01\x00\x01"))
	check(err)
	p, err := net.ListenPacket("udp4", "127.0.0.1:0")
	check(err)
	_, err = p.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: 9})
	check(err)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
}

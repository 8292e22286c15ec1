// Program reboot calls reboot(2) with the number that it is given.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	cmd, err := strconv.ParseUint(os.Args[1], 16, 32)
	if err != nil {
		panic(err)
	}
	fmt.Println("before")
	time.Sleep(300 * time.Millisecond)
	panic(unix.Reboot(int(cmd)))
}

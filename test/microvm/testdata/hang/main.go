// Program hang is the first process of a machine that never calls.
package main

import "time"

func main() { time.Sleep(time.Hour) }

package receipt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"
)

// ExecutionID is the hex SHA-256 over the netstrings ("5:hello,") of the
// start as the receipt writes it, the process number, and each argument in
// its text form. Netstrings say where each part ends, so different runs never
// hash the same bytes, and the receipt alone is enough to compute it again.
func ExecutionID(start time.Time, pid int, argv []string) string {
	h := sha256.New()
	netstring(h, At(start).String())
	netstring(h, strconv.Itoa(pid))
	for _, arg := range argv {
		netstring(h, Text(arg))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func netstring(w io.Writer, s string) {
	fmt.Fprintf(w, "%d:%s,", len(s), s) // a hash never fails to write
}

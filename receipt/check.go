package receipt

// Problem is a place where a receipt contradicts itself.
type Problem struct{ Text string }

func (p Problem) String() string { return p.Text }

// Check x.
func Check(r *Receipt) []Problem { return nil }

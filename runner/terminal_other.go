//go:build !unix

package runner

// terminalState knows of no controlling terminal.
func terminalState() terminal { return terminal{} }

// Package process runs the command as a plain child process of the recorder.
//
// The command behaves as it would without a recorder. It stays in the
// recorder's process group and session, so a terminal's signals reach it; it
// starts with the recorder's own signal mask and with default dispositions,
// but for SIGHUP and SIGINT if the recorder was started to ignore them
// (nohup); and an
// *os.File is handed to it as it is. No parent-death signal is set: a killed
// recorder leaves the command running, as a killed shell would.
//
// Start forks on the OS thread that calls it and on no other, so that a
// collector can mark the thread beforehand. Go itself may fork once more, to
// find out whether pidfds work; that child never calls execve.
//
// # What differs from a bare start
//
// Other signals than SIGHUP and SIGINT that the recorder was started to
// ignore are at their default in the command: Go's runtime takes them over
// before any code of ours can see how they were.
//
// A writer that is no *os.File sees the output through a pipe, and so does
// the command: it is no terminal. When the root process has ended but others
// still hold that pipe, Wait copies on until nothing came for a short while;
// StreamsHeld and Drain are for callers who want to wait for the rest.
// A recorder whose own stdout is such a writer should catch SIGPIPE
// (signal.Notify), else a closed stdout ends it before the command: the
// command's turn comes with the next write, which fails as it would bare.
//
// # Control groups
//
// On Linux the command starts in a cgroup v2 of its own where the machine
// gives one: a folder glasshouse-PID-RANDOM under the recorder's own group.
// Otherwise it runs in the recorder's group, and CgroupError says why.
// A command with the right to do so can leave its group.
package process

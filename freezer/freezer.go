// Package freezer holds all processes of a cgroup v2 where they are.
//
// A process that is held is neither stopped nor signalled as far as anybody
// can tell: wait(2) does not report it, SIGKILL ends it, other signals are
// delivered when it goes on. A blocking call that would end with EINTR when
// the process is stopped and continued may do so here too (signal(7) lists
// them: epoll_wait and a few others).
//
// A guard sees to it that nothing stays held when whoever holds it is killed.
package freezer

package main

import "syscall"

// childAttributes keeps a terminal's Ctrl-C from the processes, which would have
// it twice, and ends them with the thread that starts them, even if this process
// is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

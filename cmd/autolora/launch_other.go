//go:build !linux

package main

import "syscall"

// childAttributes keeps a terminal's Ctrl-C from the processes, which would have
// it twice.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

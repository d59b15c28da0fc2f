package torchbind

// #include <stdlib.h>
// #include "c10d.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// GroupConfig says how the processes of one job find each other.
type GroupConfig struct {
	Rank, Size int           // number of this process, and of all
	Addr       string        // host of the store that process 0 serves, and in which the processes meet
	Port       int           // and its port
	AgentStore bool          // another program, torchrun's agent, serves the store: process 0 is a client too
	Prefix     string        // of this run's keys in the store; a run that is started again takes another
	Timeout    time.Duration // of every exchange, and of the wait for the others at the start
	Device     Device        // of the tensors: Gloo exchanges those of the CPU, NCCL those of a GPU
}

// ProcessGroup lets several processes exchange tensors and bytes: c10d,
// PyTorch's engine for it. All processes call the same methods in the same
// order, with tensors of the same shapes and dtypes. What another process causes
// is an *Error that matches ErrProcess; after it the group is of no use but to
// be closed. A group is used by one goroutine.
type ProcessGroup struct {
	ptr C.tb_group
	cfg GroupConfig
}

// NewProcessGroup waits until all processes have come, and connects them. The
// error matches ErrProcess and says who is missing, or why this one cannot join.
// The group is to be closed.
//
// The store listens at every address of the machine, but where Addr is a loopback
// address at that one alone: whoever reaches it may read and change what is in it.
// Gloo listens at the address that this machine has towards Addr, or on the
// network interface that the environment variable GLOO_SOCKET_IFNAME names.
func NewProcessGroup(cfg GroupConfig) (_ *ProcessGroup, err error) {
	defer recoverError(&err)
	if err := Open(); err != nil {
		return nil, err
	}
	if cfg.Size < 1 || cfg.Rank < 0 || cfg.Rank >= cfg.Size || cfg.Port < 1 || cfg.Port > 1<<16-1 || cfg.Timeout < time.Millisecond {
		return nil, fmt.Errorf("process group: process %d of %d, port %d, time limit %v", cfg.Rank, cfg.Size, cfg.Port, cfg.Timeout)
	}
	if cfg.Device != CPU {
		if _, err := cudaAPI(); err != nil { // NCCL is in the same library
			return nil, fmt.Errorf("process group on %v: %w", cfg.Device, err)
		}
	}
	start := time.Now()
	listener := -1
	if cfg.Rank == 0 && !cfg.AgentStore {
		listener, err = cfg.listen()
	} else {
		err = cfg.awaitStore()
	}
	if err != nil {
		return nil, err
	}
	host, err := cfg.ownAddress()
	if err != nil {
		if listener >= 0 {
			syscall.Close(listener)
		}
		return nil, err
	}
	c := C.tb_group_config{
		rank: C.int(cfg.Rank), size: C.int(cfg.Size), port: C.int(cfg.Port), listener: C.int(listener),
		timeout: C.double(cfg.Timeout.Seconds()), waited: C.double(time.Since(start).Seconds()), device: C.int(cfg.Device),
	}
	c.addr = C.CString(cfg.Addr)
	defer C.free(unsafe.Pointer(c.addr))
	c.prefix = C.CString(cfg.Prefix)
	defer C.free(unsafe.Pointer(c.prefix))
	c.host = C.CString(host)
	defer C.free(unsafe.Pointer(c.host))
	if names, _, _ := strings.Cut(os.Getenv("GLOO_SOCKET_IFNAME"), ","); names != "" {
		c._interface = C.CString(names)
		defer C.free(unsafe.Pointer(c._interface))
	}
	g := &ProcessGroup{cfg: cfg}
	g.check(C.tb_group_new(c, &g.ptr), "process_group")
	return g, nil
}

// listen returns the socket of the store that this process serves.
func (cfg *GroupConfig) listen() (fd int, err error) {
	host := ""
	if ip := net.ParseIP(cfg.Addr); ip.IsLoopback() || cfg.Addr == "localhost" { // a name may be loopback here alone
		host = cfg.Addr
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(cfg.Port)))
	if err == nil {
		defer listener.Close()
		var file *os.File
		if file, err = listener.(*net.TCPListener).File(); err == nil { // which it would close
			defer file.Close()
			syscall.ForkLock.RLock() // no program that is started just now takes it along
			fd, err = syscall.Dup(int(file.Fd()))
			syscall.CloseOnExec(fd)
			syscall.ForkLock.RUnlock()
		}
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return -1, &Error{Op: "process_group", Msg: fmt.Sprintf("port %d is in use by another program: choose another", cfg.Port), Trace: err.Error(), kind: ErrProcess}
	case err != nil:
		return -1, &Error{Op: "process_group", Msg: fmt.Sprintf("process 0 cannot listen at %s: %v", cfg.address(), err), kind: ErrProcess}
	}
	return fd, nil
}

// awaitStore waits for a server at the store's address, because c10d's own
// attempts to connect write warnings.
func (cfg *GroupConfig) awaitStore() error {
	ctx, cancel := context.WithTimeout(context.Background(), cfg.Timeout)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", cfg.address())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return &Error{
				Op:    "process_group",
				Msg:   fmt.Sprintf("no process 0 at %s within %v", cfg.address(), cfg.Timeout),
				Trace: err.Error(),
				kind:  ErrProcess,
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ownAddress returns the address from which this machine reaches the store's.
func (cfg *GroupConfig) ownAddress() (string, error) {
	conn, err := net.Dial("udp", cfg.address()) // looks the way up and sends nothing
	if err != nil {
		return "", fmt.Errorf("find the way to process 0: %w", err)
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	return host, err
}

func (cfg *GroupConfig) address() string { return net.JoinHostPort(cfg.Addr, strconv.Itoa(cfg.Port)) }

// check is the function check, with this group's words for what other processes
// cause.
func (g *ProcessGroup) check(err *C.tb_error, op string, operands ...*Tensor) {
	if err == nil || err.code < C.TB_ERR_PROCESS_LATE {
		check(err, op, operands...)
		return
	}
	defer C.tb_error_free(err)
	e := &Error{Op: op, Trace: C.GoString(err.trace), kind: ErrProcess}
	switch err.code {
	case C.TB_ERR_PROCESS_LATE:
		e.Msg = fmt.Sprintf("process %d of %d waited %v for the others in an exchange: one of them hangs or was lost", g.cfg.Rank, g.cfg.Size, g.cfg.Timeout)
	case C.TB_ERR_PROCESS_LOST:
		e.Msg = fmt.Sprintf("process %d of %d lost the connection to another in an exchange: that one ended", g.cfg.Rank, g.cfg.Size)
	default:
		e.Msg = C.GoString(err.msg)
	}
	panic(e)
}

// open returns the C handle, or panics naming op if g was closed.
func (g *ProcessGroup) open(op string) C.tb_group {
	if g.ptr == nil {
		misuse(op, "process group is closed")
	}
	return g.ptr
}

// Rank returns the number of this process.
func (g *ProcessGroup) Rank() int { return g.cfg.Rank }

// Size returns the number of processes.
func (g *ProcessGroup) Size() int { return g.cfg.Size }

// Close leaves the group. Closing twice does nothing.
func (g *ProcessGroup) Close() {
	if g.ptr != nil {
		C.tb_group_free(g.ptr)
		g.ptr = nil
	}
}

// Average returns Σ w t / Σ w over the processes for each of ts, where w is a
// process's weight: new tensors outside of any graph, with the same bits in
// every process. A weight of 0 leaves a process's tensors out, whatever they
// are; one weight at least is positive. Sums of 16-bit numbers are float32.
// Tensors travel together, in buckets of up to 25 MB.
func (g *ProcessGroup) Average(s *Scope, ts []*Tensor, weight float64) []*Tensor {
	const op = "average"
	if len(ts) == 0 {
		return nil
	}
	ptr, in := g.open(op), list(op, ts)
	out := make([]C.tb_tensor, len(ts))
	g.check(C.tb_group_average(ptr, first(in), C.int64_t(len(in)), C.double(weight), first(out)), op, ts...)
	return s.adoptAll(out, op)
}

// Grad is the function Grad, own, and Average of its gradients, mean, whose
// exchange overlaps the backward pass: a bucket travels as soon as its gradients
// are complete. With createGraph own can be differentiated again; mean cannot.
func (g *ProcessGroup) Grad(s *Scope, outputs, inputs, gradOutputs []*Tensor, createGraph bool, weight float64) (own, mean []*Tensor) {
	const op = "grad"
	ptr := g.open(op)
	out, in, seeds := gradOperands(outputs, inputs, gradOutputs)
	n := C.int64_t(len(in))
	grads, means := make([]C.tb_tensor, n), make([]C.tb_tensor, n)
	err := C.tb_group_grad(ptr, first(out), C.int64_t(len(out)), first(in), n, first(seeds), flag(createGraph), C.double(weight), first(grads), first(means))
	g.check(err, op, outputs...)
	runtime.KeepAlive(inputs)
	runtime.KeepAlive(gradOutputs)
	all := s.adoptAll(append(grads, means...), op)
	return all[:n:n], all[n:]
}

// Gather returns the bytes that each process gave, in the order of their ranks.
// They may be of different lengths, or none.
func (g *ProcessGroup) Gather(data []byte) (all [][]byte, err error) {
	const op = "gather"
	defer recoverError(&err)
	ptr := g.open(op)
	lengths := make([]C.int64_t, g.cfg.Size)
	g.check(C.tb_group_lengths(ptr, C.int64_t(len(data)), &lengths[0]), op)
	all = make([][]byte, g.cfg.Size)
	capacity := 0
	for _, n := range lengths {
		capacity = max(capacity, int(n))
	}
	if capacity == 0 {
		return all, nil
	}
	buffer := make([]byte, g.cfg.Size*capacity)
	source := unsafe.Pointer(unsafe.SliceData(data))
	g.check(C.tb_group_gather(ptr, source, C.int64_t(len(data)), C.int64_t(capacity), unsafe.Pointer(&buffer[0])), op)
	for r, n := range lengths {
		all[r] = buffer[r*capacity:][:n:n]
	}
	return all, nil
}

// AnySoon begins to tell the other processes of a flag, own, and does not wait for
// them. The returned function, to be called once at most, does: it returns
// whether the flag of any process is true.
func (g *ProcessGroup) AnySoon(own bool) (wait func() (bool, error)) {
	const op = "any"
	var id C.int64_t
	begin := func() (err error) {
		defer recoverError(&err)
		g.check(C.tb_group_any_begin(g.open(op), flag(own), &id), op)
		return nil
	}
	failure := begin()
	return func() (any bool, err error) {
		if failure != nil {
			return false, failure
		}
		defer recoverError(&err)
		var out C.int
		g.check(C.tb_group_any_wait(g.open(op), id, &out), op)
		return out != 0, nil
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"autolora/autolora/human"
	"autolora/autolora/job"
	"autolora/torchbind"

	"github.com/spf13/cobra"
)

func infoCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:   "info [PATH]",
		Short: "versions and devices; what a file or folder holds",
		Long: `Without PATH: versions, devices, and what the CPU can do. With PATH: what a
model folder, adapter folder, results folder, ranks.json, results.json or
safetensors file holds.`,
		Example: `  autolora info
  autolora info out/sst2/adapter
  autolora info out/sst2/ranks.json`,
	})
	s := cmd.section("Flags").bind("threads")
	cmd.common(s)
	cmd.run = func(_ context.Context, c *console, args []string) error {
		if len(args) > 0 {
			return cmd.describePath(c, args[0])
		}
		m, err := onTensors(cmd, func() (machineInfo, error) { return newMachineInfo(), nil })
		if err != nil {
			return err
		}
		return cmd.show(c, m, m.print)
	}
	return cmd
}

// machineInfo is what info says about the program and the machine.
type machineInfo struct {
	Version       string `json:"version"`
	Go            string `json:"go"`
	Torch         string `json:"libtorch"`
	Platform      string `json:"platform"`
	Cores         int    `json:"cores"`
	CPUCapability string `json:"cpu_capability"`
	BFloat16      bool   `json:"cpu_bfloat16"`
	Threads       int    `json:"threads"`
	CUDADevices   int    `json:"cuda_devices"`
	CUDAProblem   string `json:"cuda_problem,omitempty"`
	GPUs          []gpu  `json:"gpus,omitempty"`
	DefaultDevice string `json:"default_device"`
}

// gpu is what info says about one CUDA device.
type gpu struct {
	Name       string `json:"name,omitempty"`
	Capability string `json:"compute_capability,omitempty"`
	Total      int64  `json:"total_memory_bytes,omitempty"`
	Free       int64  `json:"free_memory_bytes,omitempty"`
	Problem    string `json:"problem,omitempty"` // why nothing else is known
}

// describeGPU asks the driver about a device.
func describeGPU(d torchbind.Device) gpu {
	about, err := torchbind.DescribeDevice(d)
	if err != nil {
		return gpu{Problem: oneLine(err.Error())}
	}
	return gpu{Name: about.Name, Capability: fmt.Sprintf("%d.%d", about.Capability[0], about.Capability[1]), Total: about.Total, Free: about.Free}
}

func newMachineInfo() machineInfo {
	m := machineInfo{
		Version: job.Version, Go: runtime.Version(), Torch: torchbind.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Cores: runtime.NumCPU(), CPUCapability: torchbind.CPUCapability(), BFloat16: torchbind.HasBFloat16(), Threads: torchbind.NumThreads(),
	}
	n, err := torchbind.CUDADevices()
	m.CUDADevices = n
	if err != nil {
		m.CUDAProblem = oneLine(err.Error())
	}
	for i := range n {
		m.GPUs = append(m.GPUs, describeGPU(torchbind.Device(i)))
	}
	m.DefaultDevice = torchbind.CPU.String()
	if d, err := torchbind.ParseDevice("auto"); err == nil {
		m.DefaultDevice = d.String()
	}
	return m
}

func (m machineInfo) print(w *writer) {
	w.row("autolora", "%s (%s, %s)", m.Version, m.Go, m.Platform)
	w.row("libtorch", "%s", m.Torch)
	bfloat16 := "bfloat16 in hardware"
	if !m.BFloat16 {
		bfloat16 = "no bfloat16 in hardware (works, but is not faster)"
	}
	w.row("CPU", "%d cores, %s, %s", m.Cores, m.CPUCapability, bfloat16)
	w.row("threads", "%d", m.Threads)
	for i, g := range m.GPUs {
		name := torchbind.Device(i).String()
		if g.Problem != "" {
			w.row(name, "%s", g.Problem)
			continue
		}
		w.row(name, "%s, compute capability %s, %s, %s free", g.Name, g.Capability, human.Bytes(g.Total), human.Bytes(g.Free))
	}
	switch {
	case len(m.GPUs) > 0:
	case m.CUDAProblem != "":
		w.row("CUDA", "none: %s", m.CUDAProblem)
	default:
		w.row("CUDA", "no device")
	}
	w.row("device", "%s (--device auto)", m.DefaultDevice)
}

// describePath says what the file or folder at path holds.
func (cmd *command) describePath(c *console, path string) error {
	d, err := inspect(path)
	if err != nil {
		return err
	}
	return cmd.show(c, d, func(w *writer) {
		w.row("path", "%s", path)
		d.print(w)
	})
}

// contents is what a file or folder holds; its JSON has a "kind".
type contents interface{ print(w *writer) }

// inspect finds out what path is.
func inspect(path string) (contents, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("info: %w", err)
	}
	if info.IsDir() {
		return inspectFolder(path)
	}
	return inspectFile(path)
}

package torchbind_test

import (
	"os"
	"strings"
	"testing"

	"autolora/torchbind"
)

func TestParseDevice(t *testing.T) {
	tests := []struct {
		name string
		want torchbind.Device
		err  string
	}{
		{"cpu", torchbind.CPU, ""},
		{"gpu", 0, `unknown device "gpu", want auto, cpu, cuda or cuda:N`},
		{"", 0, `unknown device "", want auto, cpu, cuda or cuda:N`},
		{"cuda:", 0, `device "cuda:": "" is not a device number`},
		{"cuda:-1", 0, `device "cuda:-1": "-1" is not a device number`},
		{"cuda:x", 0, `device "cuda:x": "x" is not a device number`},
		{"cuda:1000", 0, `device "cuda:1000": `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := torchbind.ParseDevice(tt.name)
			switch {
			case tt.err == "" && (err != nil || got != tt.want):
				t.Errorf("%v and error %v, want %v", got, err, tt.want)
			case tt.err != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.err) || strings.Contains(err.Error(), "\n")):
				t.Errorf("error %v, want one line that begins with %q", err, tt.err)
			}
		})
	}
}

func TestParseDeviceWithoutCUDA(t *testing.T) {
	if _, err := os.Stat("/dev/nvidiactl"); err == nil {
		t.Skip("this machine has an NVIDIA driver")
	}
	if got, err := torchbind.ParseDevice("auto"); got != torchbind.CPU || err != nil {
		t.Errorf("auto is %v and error %v, want cpu", got, err)
	}
	if _, err := torchbind.ParseDevice("cuda"); err == nil || !strings.HasPrefix(err.Error(), `device "cuda": `) {
		t.Errorf("cuda gives error %v", err)
	}
}

func TestDeviceNames(t *testing.T) {
	for d, want := range map[torchbind.Device]string{torchbind.CPU: "cpu", 0: "cuda:0", 3: "cuda:3"} {
		if got := d.String(); got != want {
			t.Errorf("device %d is %q, want %q", d, got, want)
		}
	}
}

func TestVersions(t *testing.T) {
	if v := torchbind.Version(); !strings.HasPrefix(v, "2.") {
		t.Errorf("libtorch's version is %q", v)
	}
	if torchbind.CPUCapability() == "" {
		t.Error("no CPU capability")
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if want := strings.Contains(string(info), "avx512_bf16"); torchbind.HasBFloat16() != want {
			t.Errorf("HasBFloat16 is %v, /proc/cpuinfo says %v", torchbind.HasBFloat16(), want)
		}
	}
}

package job

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/torchbind"
)

func TestDTypeAuto(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.DType, cfg.SearchSteps, cfg.Steps = settings.AutoWord, 1, 1
	said := &notes{}
	run(t, func(*torchbind.Scope) {
		if _, err := Run(context.Background(), Host{Reporter: said}, cfg); err != nil {
			t.Fatal(err)
		}
		began, err := readSavedConfig(cfg.Out)
		if err != nil {
			t.Fatal(err)
		}
		chosen := began.Settings.DType
		if chosen != "float32" && (chosen != "bfloat16" || !torchbind.HasBFloat16()) {
			t.Errorf("config.json has %q", chosen)
		}
		if !slices.ContainsFunc(said.lines, func(line string) bool { return strings.HasPrefix(line, "dtype is "+chosen+": ") }) {
			t.Errorf("%s is not among the notes %q", chosen, said.lines)
		}

		// Whatever is faster now, a run goes on as it began.
		cfg.Resume = true
		if err := began.same(cfg, began.About.Command); err != nil {
			t.Error(err)
		}
		for _, other := range []string{"bfloat16", "float64"} {
			began.Settings.DType, cfg.Out = other, t.TempDir()
			text, err := json.Marshal(*began)
			if err == nil {
				err = os.WriteFile(filepath.Join(cfg.Out, runs.ConfigFile), text, 0o666)
			}
			if err != nil {
				t.Fatal(err)
			}
			s := &session{cfg: cfg, rep: silent{}, device: torchbind.CPU}
			if err := s.chooseDType(); err != nil || s.cfg.DType != other {
				t.Errorf("got %q, %v, want %q as in config.json", s.cfg.DType, err, other)
			}
		}
	})
}

func TestFasterDType(t *testing.T) {
	for _, tt := range []struct {
		speeds productSpeeds
		want   torchbind.DType
	}{
		{productSpeeds{Float32: 2e9, BFloat16: 1e9}, torchbind.Float32},
		{productSpeeds{Float32: 1e9, BFloat16: 1e9}, torchbind.Float32},
		{productSpeeds{Float32: 1e9, BFloat16: 2e9}, torchbind.BFloat16},
	} {
		if got := tt.speeds.faster(); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.speeds, got, tt.want)
		}
	}
	if p := timeProducts(shape{hidden: 16, inner: 32}); p.Float32 <= 0 || p.BFloat16 <= 0 {
		t.Errorf("speeds %+v", p)
	}
}

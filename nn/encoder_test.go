package nn

import (
	"testing"

	"autolora/torchbind"
)

// todaysEncoders are those of testdata/nn/make_encoders.py.
var todaysEncoders = []struct {
	name       string
	labels     int64
	regression bool
}{
	{"distilbert-tiny", 3, false},
	{"distilbert-tiny-tokens", 5, false},
	{"electra-tiny", 3, false},
	{"electra-tiny-tokens", 5, false},
}

func loadEncoder(t *testing.T, name string, labels int64, regression bool, cfg LoadConfig) *Model {
	t.Helper()
	cfg.Labels, cfg.Output, cfg.Head, cfg.Device = labels, outputOf(name, regression), HeadStored, torchbind.CPU
	m, err := Load(testdata(name), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Every weight trained against transformers, then LoRA on every linear layer of the
// body against PEFT.
func TestEncodersAgainstTransformers(t *testing.T) {
	for _, c := range todaysEncoders {
		for _, dtype := range bothTypes {
			t.Run(c.name+"/"+dtype.String(), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m := loadEncoder(t, c.name, c.labels, c.regression, LoadConfig{Full: true, DType: dtype})
					defer m.Close()
					checkTraining(t, s, m, openFixture(t, "expected-"+c.name), openFixture(t, "expected-"+c.name+"-adamw"), "")

					adapted := loadEncoder(t, c.name, c.labels, c.regression, LoadConfig{DType: dtype, Pack: true})
					defer adapted.Close()
					if err := adapted.LoadAdapter(testdata(c.name + "-lora")); err != nil {
						t.Fatal(err)
					}
					values := openFixture(t, "expected-"+c.name+"-lora")
					checkTraining(t, s, adapted, values, values, peftPrefix)
				})
			})
		}
	}
}

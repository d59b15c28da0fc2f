package job

import (
	"fmt"
	"sync"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/torchbind"
)

// productSpeeds are how many multiplications and additions a second this machine
// makes of a model's widest product, in each type.
type productSpeeds struct {
	Float32  float64 `json:"float32"`
	BFloat16 float64 `json:"bfloat16"`
}

// faster returns the type of the faster product.
func (p productSpeeds) faster() torchbind.DType {
	if p.BFloat16 > p.Float32 {
		return torchbind.BFloat16
	}
	return torchbind.Float32
}

func (p productSpeeds) String() string {
	return fmt.Sprintf("its products take %.0f GFLOP/s in float32, %.0f in bfloat16", p.Float32/1e9, p.BFloat16/1e9)
}

// timed are the speeds for shapes that this process has timed, so that several
// runs in it have one type.
var timed sync.Map

// timeProducts times the product of a feed-forward layer's first matrix and the
// rows of a batch, with the weight packed as in training.
func timeProducts(s shape) productSpeeds {
	if p, ok := timed.Load(s); ok {
		return p.(productSpeeds)
	}
	const rows, rounds = 512, 12
	var p productSpeeds
	for range 2 { // in turn: other programs come and go
		p.Float32 = max(p.Float32, productSpeed(rounds, rows, s.hidden, s.inner, torchbind.Float32))
		p.BFloat16 = max(p.BFloat16, productSpeed(rounds, rows, s.hidden, s.inner, torchbind.BFloat16))
	}
	timed.Store(s, p)
	return p
}

// chooseDType takes the type of the arithmetic. "auto" is that of the run that is
// gone on with, or, of float32 and bfloat16, what is faster on this CPU: which
// that is, instructions alone do not say. In config.json stands what was chosen.
func (s *session) chooseDType() (err error) {
	cfg := &s.cfg
	if cfg.DType == settings.AutoWord {
		if cfg.DType, err = s.fasterDType(); err != nil {
			return err
		}
	}
	if s.dtype, err = torchbind.ParseDType(cfg.DType); err != nil {
		return &settings.Error{Setting: "dtype", Err: err}
	}
	if s.dtype == torchbind.BFloat16 && s.device == torchbind.CPU && !torchbind.HasBFloat16() {
		s.rep.Note("this CPU has no bfloat16 instructions: bfloat16 is computed in float32 and rounded, which is not faster")
	}
	return nil
}

func (s *session) fasterDType() (string, error) {
	if s.cfg.Resume {
		before, err := readSavedConfig(runs.Where(s.cfg.Out))
		if err != nil {
			return "", err
		}
		if before != nil {
			return before.Settings.DType, nil
		}
	}
	chosen, why := torchbind.Float32, "of a GPU's types none is chosen"
	if s.device == torchbind.CPU {
		why = "this CPU has no bfloat16 instructions"
		if torchbind.HasBFloat16() {
			speeds := timeProducts(newShape(s.arch))
			chosen, why = speeds.faster(), speeds.String()
		}
	}
	all, err := gather(s.procs, chosen) // one process's clock is for all of them
	if err != nil {
		return "", err
	}
	s.rep.Note(fmt.Sprintf("dtype is %v: %s", all[0], why))
	return all[0].String(), nil
}

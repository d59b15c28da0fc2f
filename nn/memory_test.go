package nn

import (
	"os"
	"path/filepath"
	"testing"

	"autolora/torchbind"
)

// A base takes 15 % more of memory than its numbers at most while it is read. Real
// weights alone can tell; scripts/fetch_smollm2.sh has them.
func TestMemoryOfQuantizedBase(t *testing.T) {
	dir := filepath.Join("..", "third_party", "models", "SmolLM2-135M")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("real weights are not in third_party/models: ", err)
	}
	run(t, func(s *torchbind.Scope) {
		if err := torchbind.ResetPeakMemory(); err != nil {
			t.Skip(err)
		}
		peak := func() int64 {
			n, err := torchbind.PeakMemory()
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := peak()
		m := mustLoad(t, dir, LoadConfig{Output: CausalLM, Quantize: NF4, DType: torchbind.Float32, Device: torchbind.CPU})
		defer m.Close()
		numbers := int64(0)
		for _, p := range m.Params() {
			if p.quantized != nil {
				numbers += p.quantized.Bytes()
			} else {
				numbers += 4 * numEl(p.Shape)
			}
		}
		most := peak() - before
		t.Logf("%d MB of numbers, %d MB at the peak", numbers/1e6, most/1e6)
		if float64(most) > 1.15*float64(numbers) {
			t.Errorf("%d MB at the peak for %d MB of numbers", most/1e6, numbers/1e6)
		}
	})
}

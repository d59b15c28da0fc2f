package report_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"autolora/autolora/report"
)

// Folders of runs, here of two methods with three seeds each, become one report.
func Example() {
	dir, err := os.MkdirTemp("", "report")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for method, scores := range map[string][]float64{"autolora": {0.83, 0.84, 0.82}, "lora-uniform": {0.81, 0.83, 0.82}} {
		for i, score := range scores {
			run := filepath.Join(dir, method, fmt.Sprintf("seed-%d", i+1))
			if err := os.MkdirAll(run, 0o755); err != nil {
				log.Fatal(err)
			}
			results := fmt.Sprintf(`{"task": "sst2", "method": %q, "seed": %d, "primary": "accuracy", "scores": {"accuracy": %v}}`, method, i+1, score)
			if err := os.WriteFile(filepath.Join(run, "results.json"), []byte(results), 0o644); err != nil {
				log.Fatal(err)
			}
		}
	}

	runs, err := report.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, line := range report.Summarise(runs).Headlines() {
		fmt.Println(line)
	}
	// Output: SST-2: AutoLoRA is 1.0 points above LoRA of the same size, spread evenly (3 seeds, 95 % interval −1.5 to 3.5): not more than the chance of seeds.
}

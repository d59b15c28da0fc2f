package meteor

import (
	"path/filepath"
	"testing"
)

// BenchmarkScore scores 547 outputs against the 4,672 references of E2E's development set.
func BenchmarkScore(b *testing.B) {
	dir, m := golden(b, "e2e"), load(b, "", "")
	outputs := textLines(b, filepath.Join(dir, "ukp-seed1.out"))
	references := blocks(textLines(b, filepath.Join(dir, "e2e-devset.refs")))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Score(outputs, references); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		load(b, "", "")
	}
}

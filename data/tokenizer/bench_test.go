package tokenizer

import (
	"os"
	"path/filepath"
	"testing"
)

// benchTexts are sentences of the length of MRPC's.
var benchTexts = []string{
	"Amrozi accused his brother, whom he called \"the witness\", of deliberately distorting his evidence.",
	"PCCW's chief operating officer, Mike Butcher, and Alex Arena, the chief financial officer, will report directly to Mr So.",
	"They had published an advertisement on the Internet on June 10, offering the cargo for sale, he added.",
	"The stock rose $2.11, or about 11 percent, to close Friday at $21.51 on the New York Stock Exchange.",
}

// BenchmarkEncode reports tokens a second on one goroutine and on as many as there are CPUs. It uses the
// tokenizer folder of AUTOLORA_TOKENIZER, or the small BERT.
func BenchmarkEncode(b *testing.B) {
	dir := os.Getenv("AUTOLORA_TOKENIZER")
	if dir == "" {
		dir = filepath.Join("testdata", "bert")
	}
	tok := mustLoad(b, dir)
	tokens := 0
	for _, text := range benchTexts {
		enc, _, err := tok.Encode(text, nil, 128)
		if err != nil {
			b.Fatal(err)
		}
		tokens += len(enc.IDs)
	}
	all := func() {
		for _, text := range benchTexts {
			if _, _, err := tok.Encode(text, nil, 128); err != nil {
				b.Error(err)
			}
		}
	}
	report := func(b *testing.B, rounds int) {
		b.ReportMetric(float64(rounds*tokens)/b.Elapsed().Seconds(), "tokens/s")
	}
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		rounds := 0
		for b.Loop() {
			all()
			rounds++
		}
		report(b, rounds)
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				all()
			}
		})
		report(b, b.N)
	})
}

func BenchmarkLoad(b *testing.B) {
	dir := os.Getenv("AUTOLORA_TOKENIZER")
	if dir == "" {
		dir = filepath.Join("testdata", "bert")
	}
	b.ReportAllocs()
	for b.Loop() {
		tok, err := Load(dir)
		if err != nil {
			b.Fatal(err)
		}
		tok.Close()
	}
}

package data

import "testing"

// The digest is of the examples: whatever tells one from another changes it, where they were read does not.
func TestDigest(t *testing.T) {
	base := func() *Dataset {
		return &Dataset{Examples: []Example{{Text: "a", Label: 1, File: "x", Line: 1}, {Sentence: &Sentence{[]string{"b"}, []int{2}}}, {Writing: &Writing{Source: "s", References: []string{"r"}}}}}
	}
	same, want := base(), base().Digest()
	same.Examples[0].File, same.Examples[0].Line = "y", 7
	if got := same.Digest(); got != want || len(want) != 64 {
		t.Errorf("digest %s, want %s", got, want)
	}
	for name, change := range map[string]func(d *Dataset){
		"text":      func(d *Dataset) { d.Examples[0].Text = "b" },
		"pair":      func(d *Dataset) { d.Examples[0].HasPair = true },
		"label":     func(d *Dataset) { d.Examples[0].Label = 0 },
		"value":     func(d *Dataset) { d.Examples[0].Value = 0.5 },
		"words":     func(d *Dataset) { d.Examples[1].Words[0] = "c" },
		"tags":      func(d *Dataset) { d.Examples[1].Tags[0] = 0 },
		"source":    func(d *Dataset) { d.Examples[2].Source = "z" },
		"reference": func(d *Dataset) { d.Examples[2].References = append(d.Examples[2].References, "q") },
		"order":     func(d *Dataset) { d.Examples[0], d.Examples[1] = d.Examples[1], d.Examples[0] },
		"number":    func(d *Dataset) { d.Examples = d.Examples[:2] },
	} {
		d := base()
		if change(d); d.Digest() == want {
			t.Errorf("another %s has the same digest", name)
		}
	}
}

package runs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"autolora/foreign"
	"autolora/plainjson"
)

// LayerRank is one layer's entry of ranks.json.
type LayerRank struct {
	Name  string    `json:"name"` // Hugging Face module path
	Rank  int       `json:"rank"`
	Alpha []float64 `json:"alpha,omitempty"` // k numbers, of a search
	Worth []float64 `json:"worth,omitempty"` // of each part, by a rule that needs no search
}

// MaxRank is the largest rank that a layer may have: more than any weight's own,
// and little enough to be allocated.
const MaxRank = 65536

// Ranks is what ranks.json holds: the ranks, and how they came about.
type Ranks struct {
	Rule      Rule        `json:"rule,omitzero"`
	K         int         `json:"k,omitempty"`
	Layers    []LayerRank `json:"layers"`
	Model     string      `json:"model,omitempty"`
	Task      string      `json:"task,omitempty"`
	Seed      *uint64     `json:"seed,omitempty"`
	Steps     int         `json:"steps,omitempty"`
	Mode      string      `json:"mode,omitempty"` // hypergradient
	LookAhead string      `json:"look_ahead,omitempty"`
	Eta       *float64    `json:"eta,omitempty"`
	Split     string      `json:"split,omitempty"`

	Fingerprint string `json:"-"` // SHA-256 of the file that was read, in hex; "" of ranks of no file
}

// ByName returns the ranks by module path.
func (r Ranks) ByName() map[string]int64 {
	ranks := make(map[string]int64, len(r.Layers))
	for _, l := range r.Layers {
		ranks[l.Name] = int64(l.Rank)
	}
	return ranks
}

// Names returns the module paths of the layers.
func (r Ranks) Names() []string {
	names := make([]string, len(r.Layers))
	for i, l := range r.Layers {
		names[i] = l.Name
	}
	return names
}

// List returns the ranks alone, in the order of the layers.
func (r Ranks) List() []int {
	ranks := make([]int, len(r.Layers))
	for i, l := range r.Layers {
		ranks[i] = l.Rank
	}
	return ranks
}

// Mean returns the mean rank.
func (r Ranks) Mean() float64 {
	sum := 0
	for _, l := range r.Layers {
		sum += l.Rank
	}
	return float64(sum) / float64(max(1, len(r.Layers)))
}

// ReadRanks reads a ranks.json that somebody named, or that of the run whose folder was
// named; names and ranks alone are enough.
func ReadRanks(path string) (Ranks, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, RanksFile)
	}
	return readRanks(path, foreign.ReadNamed)
}

// Ranks reads the ranks.json of the folder. The error is fs.ErrNotExist where there
// is none.
func (f *Folder) Ranks() (Ranks, error) { return readRanks(f.Path(RanksFile), foreign.ReadFile) }

func readRanks(path string, read func(path string, most int64) ([]byte, error)) (Ranks, error) {
	data, err := read(path, MaxFile)
	if err != nil {
		return Ranks{}, fmt.Errorf("read ranks: %w", err)
	}
	r, err := ParseRanks(data)
	if err != nil {
		return Ranks{}, fmt.Errorf("%s: %w", path, err)
	}
	r.Fingerprint = fmt.Sprintf("%x", sha256.Sum256(data))
	return r, nil
}

// ParseRanks reads the text of a ranks.json.
func ParseRanks(data []byte) (Ranks, error) {
	var r Ranks
	if err := plainjson.Unmarshal(data, &r); err != nil {
		return Ranks{}, fmt.Errorf("not a ranks file: %w", err)
	}
	if len(r.Layers) == 0 {
		return Ranks{}, errors.New(`not a ranks file: no "layers", want [{"name": …, "rank": …}, …]`)
	}
	if r.K < 0 || r.K > MaxRank {
		return Ranks{}, fmt.Errorf("k is %d, want 0 to %d", r.K, MaxRank)
	}
	seen := make(map[string]bool)
	for i, l := range r.Layers {
		switch {
		case l.Name == "":
			return Ranks{}, fmt.Errorf("layer %d has no name", i)
		case l.Rank < 0 || l.Rank > MaxRank:
			return Ranks{}, fmt.Errorf("layer %q: rank %d, want 0 to %d", l.Name, l.Rank, MaxRank)
		case seen[l.Name]:
			return Ranks{}, fmt.Errorf("layer %q is there twice", l.Name)
		}
		seen[l.Name] = true
	}
	return r, nil
}

package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/torchbind"
)

func TestParseShard(t *testing.T) {
	for text, want := range map[string]Shard{"1/1": {1, 1}, "1/4": {1, 4}, "4/4": {4, 4}} {
		if got, err := ParseShard(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "1", "0/4", "5/4", "-1/4", "1/0", "1/", "/4", "1/4/4", "1 / 4", "1.5/4"} {
		if got, err := ParseShard(text); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("got %q, want I/N", text)) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// Every run is of one shard, a control of that of its ranks, and no shard has
// much more to do than another.
func TestShare(t *testing.T) {
	cfg := settings.Default()
	cfg.Model, cfg.Task, cfg.Out = "roberta-base", "mrpc", "out"
	cfg.Methods, cfg.Seeds, cfg.Controls = []string{"full", "adapter", "lora", "adalora", "autolora"}, 5, true
	plan, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 40; n++ {
		shardOf := map[string]int{}
		var loads []int64
		for i := 1; i <= n; i++ {
			share := Shard{i, n}.Share(plan)
			load := int64(0)
			for _, c := range share {
				if other, twice := shardOf[c.Out]; twice {
					t.Fatalf("%d shards: %s is of shards %d and %d", n, c.Out, other, i)
				}
				shardOf[c.Out] = i
				load += nominalCost(c)
			}
			if places := placesOf(plan, share); !slices.IsSorted(places) {
				t.Errorf("%d/%d: order %v", i, n, places)
			}
			loads = append(loads, load)
		}
		if len(shardOf) != len(plan) {
			t.Errorf("%d shards have %d of %d runs", n, len(shardOf), len(plan))
		}
		most := int64(0) // of what cannot be divided
		for _, group := range dependent(plan) {
			cost := int64(0)
			for _, i := range group {
				cost += nominalCost(plan[i])
				if shardOf[plan[i].Out] != shardOf[plan[group[0]].Out] {
					t.Errorf("%d shards: %s is not with %s", n, plan[i].Out, plan[group[0]].Out)
				}
			}
			most = max(most, cost)
		}
		if d := slices.Max(loads) - slices.Min(loads); d > most {
			t.Errorf("%d shards: loads %v", n, loads)
		}
	}
}

// placesOf returns where the runs of a share are in the plan.
func placesOf(plan, share []settings.Config) []int {
	var places []int
	for _, c := range share {
		places = append(places, slices.IndexFunc(plan, func(p settings.Config) bool { return p.Out == c.Out }))
	}
	return places
}

// What another machine has, or where the data are, does not change a share.
func TestShareIsTheSameEverywhere(t *testing.T) {
	cfg := settings.Default()
	cfg.Model, cfg.Task, cfg.Out, cfg.Data = "/here/roberta-base", "mrpc", "out", "/here"
	cfg.Methods, cfg.Seeds, cfg.Controls = runs.MethodNames()[:6], 3, true
	here, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Model, cfg.Data, cfg.Out, cfg.Threads, cfg.Device = "/there/roberta-base", "/there", "other", 64, "cuda"
	there, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 4; i++ {
		if a, b := placesOf(here, Shard{i, 4}.Share(here)), placesOf(there, Shard{i, 4}.Share(there)); !slices.Equal(a, b) {
			t.Errorf("shard %d: %v here, %v there", i, a, b)
		}
	}
}

// Shards that run one after the other, in one folder, make what one call makes.
func TestCompareByShards(t *testing.T) {
	cfg := tinyComparison(t, "lora", "autolora")
	cfg.AlphaLR = 0.5
	plan, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var settings [3]string
	for i := 3; i >= 1; i-- {
		share := Shard{i, 3}.Share(plan)
		run(t, func(*torchbind.Scope) {
			if err := Compare(context.Background(), quiet, cfg, share); err != nil {
				t.Fatal(err)
			}
		})
		for _, c := range share {
			if _, err := os.Stat(filepath.Join(c.Out, runs.ResultsFile)); err != nil {
				t.Errorf("shard %d: %v", i, err)
			}
		}
		text, err := os.ReadFile(filepath.Join(cfg.Out, runs.CompareFile))
		if err != nil {
			t.Fatal(err)
		}
		settings[i-1] = string(text)
	}
	if settings[0] != settings[1] || settings[1] != settings[2] || strings.Contains(settings[0], "shard") {
		t.Error("compare.json depends on the shard")
	}
	rep := &notes{}
	run(t, func(*torchbind.Scope) {
		if err := Compare(context.Background(), Host{Reporter: rep}, cfg, plan); err != nil {
			t.Fatal(err)
		}
	})
	for _, line := range rep.lines {
		if !strings.HasSuffix(line, ": complete") {
			t.Errorf("after all shards, a whole comparison says %q", line)
		}
	}
}

// Shards that start at the same moment do not disturb each other.
func TestShardsOpenOneFolder(t *testing.T) {
	cfg := tinyComparison(t, "lora")
	for range 10 {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if err := openComparison(cfg); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		entries, err := os.ReadDir(cfg.Out)
		if err != nil || len(entries) != 2 || entries[0].Name() != runs.Own || entries[1].Name() != runs.CompareFile {
			t.Fatalf("%v, %v", entries, err)
		}
		if err := os.RemoveAll(cfg.Out); err != nil {
			t.Fatal(err)
		}
	}
}

// Another comparison is refused before it makes anything; more methods and
// seeds are not another one.
func TestOtherComparisonIsRefused(t *testing.T) {
	cfg := tinyComparison(t, "lora")
	if err := openComparison(cfg); err != nil {
		t.Fatal(err)
	}
	more := cfg
	more.Methods, more.Seeds, more.With, more.SaveEvery = []string{"lora", "full"}, 9, []string{"full:lr=0.1"}, 3
	if err := openComparison(more); err != nil {
		t.Error(err)
	}
	other := cfg
	other.LR *= 2
	if err := openComparison(other); err == nil || !strings.Contains(err.Error(), "lr: got") || !errors.Is(err, ErrBegun) {
		t.Errorf("error %v", err)
	}
}

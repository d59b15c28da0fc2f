package job

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"autolora/autolora/runs"
)

// log writes one record to metrics.jsonl, and its numbers to TensorBoard's event
// file where one is wanted.
func (j *job) log(r runs.Record) error {
	if err := j.out.Log(r); err != nil || j.events == nil {
		return err
	}
	now := time.Now()
	for _, scalar := range []struct {
		tag   string
		value *float64
	}{
		{"loss", r.Loss}, {"val_loss", r.ValLoss}, {"direct", r.Direct}, {"implicit", r.Implicit}, {"ratio", r.Ratio},
		{"grad_norm", r.GradNorm}, {"lr", r.LR},
	} {
		if scalar.value == nil {
			continue
		}
		if err := j.events.Scalar(r.Phase+"/"+scalar.tag, int64(r.Step), now, *scalar.value); err != nil {
			return err
		}
	}
	for i, rank := range r.Ranks {
		if err := j.events.Scalar(fmt.Sprintf("%s/rank/layer-%02d", r.Phase, i), int64(r.Step), now, float64(rank)); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Scores)) {
		if err := j.events.Scalar(r.Phase+"/"+name, int64(r.Step), now, r.Scores[name]); err != nil {
			return err
		}
	}
	return nil
}

package autolora

import "autolora/data/metrics"

// Results is what results.json holds.
type Results struct {
	Task       string         `json:"task"`
	Method     string         `json:"method"`
	Seed       uint64         `json:"seed"`
	Scores     metrics.Scores `json:"scores"` // fractions of 1
	Parameters ParameterCount `json:"parameters"`
	Seconds    Seconds        `json:"seconds"`
	Steps      StepCount      `json:"steps"`
	// PeakMemory is the process's highest resident size so far.
	PeakMemory int64 `json:"peak_memory_bytes"`

	Primary  string `json:"primary"`  // the task's main score, a key of Scores
	Examples int    `json:"examples"` // evaluated
}

// ParameterCount counts what was trained.
type ParameterCount struct {
	Adapter int64 `json:"adapter"` // LoRA factors; of full fine-tuning, the base model
	Head    int64 `json:"head"`
}

// Seconds is wall time by phase.
type Seconds struct {
	Load   float64 `json:"load"` // data, tokenizer, weights
	Search float64 `json:"search"`
	Train  float64 `json:"train"`
	Eval   float64 `json:"eval"`
}

// StepCount counts optimiser steps of W.
type StepCount struct {
	Search int `json:"search"`
	Train  int `json:"train"`
}

// Reporter is told how a run goes, for the people who watch it. Its methods
// are called from one goroutine.
type Reporter interface {
	Begin(phase string, total int) // "search", "train", "eval"; total steps
	Advance(done int, note string) // done of total; note: "loss 0.412"
	End()
	Note(line string) // a remark: what was truncated, left out, or is slow here
}

// Record is one line of metrics.jsonl. Absent numbers are nil: JSON has no NaN.
type Record struct {
	Phase    string         `json:"phase"`
	Step     int            `json:"step"`
	Loss     *float64       `json:"loss,omitempty"`
	ValLoss  *float64       `json:"val_loss,omitempty"`
	Direct   *float64       `json:"direct,omitempty"`   // ‖d‖
	Implicit *float64       `json:"implicit,omitempty"` // ‖η ∂(g·u)/∂a‖
	Ratio    *float64       `json:"ratio,omitempty"`    // implicit/direct
	GradNorm *float64       `json:"grad_norm,omitempty"`
	LR       *float64       `json:"lr,omitempty"`
	Scores   metrics.Scores `json:"scores,omitempty"`
	Ranks    []int          `json:"ranks,omitempty"`
	Seconds  float64        `json:"seconds"` // since the phase began
}

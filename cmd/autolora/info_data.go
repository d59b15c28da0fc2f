package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"autolora/autolora/job"
	"autolora/data"
	"autolora/human"
)

// dataEnds are the ends of the names of files of data.
var dataEnds = []string{".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".conll", ".iob2", ".iob", ".bio", ".txt", ".gz", ".zip", ".xlsx"}

func isData(path string) bool {
	return slices.Contains(dataEnds, strings.ToLower(filepath.Ext(path)))
}

// dataInfo is what info says about a file of data.
type dataInfo struct {
	Kind string `json:"kind"` // of content
	*data.Profile
	Task     string            `json:"task,omitempty"` // the kind of task, as it is guessed or given
	Text     []string          `json:"text,omitempty"`
	Label    string            `json:"label,omitempty"`
	Labels   []data.LabelCount `json:"labels,omitempty"`
	Notes    []string          `json:"notes,omitempty"`
	Lengths  *job.Lengths      `json:"tokens,omitempty"`
	Readings []job.Reading     `json:"reads,omitempty"` // the first examples as the model reads them
}

// inspectData says what a file of data holds, and with a model how long its texts
// are.
func (cmd *command) inspectData(ctx context.Context, c *console, path string) (contents, error) {
	about := dataInfo{Kind: "data"}
	cfg := cmd.cfg
	cfg.TrainFile, cfg.DevFile = path, ""
	var err error
	if about.Profile, err = data.Describe(path, cfg.Kind == data.Tagging, 0); err != nil {
		return contents{}, err
	}
	if cfg.Model, err = cmd.fetchModel(ctx, c); err != nil {
		return contents{}, err
	}
	set, cfg, err := job.ReadFile(ctx, cfg)
	if doubt, ok := errors.AsType[*data.DoubtError](err); ok {
		about.Notes = append(about.Notes, fmt.Sprintf("for a run --%s must be given", strings.Join(doubt.Missing, ", --")))
	} else if err != nil {
		about.Notes = append(about.Notes, oneLine(err.Error()))
	} else {
		about.Task, about.Text, about.Label = string(set.Task.Kind), cfg.Text, cfg.Label
		about.Labels, about.Notes = set.Train.LabelCounts(), set.Notes
		if cfg.Model != "" {
			if about.Lengths, about.Readings, err = job.Read(ctx, cfg, set.Train); err != nil {
				return contents{}, err
			}
		}
	}
	return contents{about, about.print}, nil
}

func (i dataInfo) print(w *writer) {
	w.row("kind", "data, %s rows", human.Thousands(i.Rows))
	for k, c := range i.Columns {
		label := ""
		if k == 0 {
			label = "columns"
		}
		about := c.Type
		if len(c.Values) > 0 {
			about += fmt.Sprintf(", %d different", len(c.Values))
		}
		if c.Missing > 0 {
			about += fmt.Sprintf(", %s missing", human.Thousands(c.Missing))
		}
		w.row(label, "%s: %s", oneLine(c.Name), about)
	}
	if i.Task != "" {
		w.row("task", "%s", i.Task)
		if i.Text != nil {
			w.row("text", "%s", oneLine(strings.Join(i.Text, ", ")))
		}
		if i.Label != "" {
			w.row("label", "%s", oneLine(i.Label))
		}
	}
	if len(i.Labels) > 0 {
		w.row("labels", "%s", oneLine(data.CountsInWords(i.Labels, 20)))
	}
	if i.Lengths != nil {
		w.row("tokens", "%s", i.Lengths)
	}
	for _, note := range i.Notes {
		w.row("note", "%s", oneLine(note))
	}
	for n, row := range i.Examples {
		if strings.TrimSpace(strings.Join(row, "")) == "" { // of conversations
			continue
		}
		w.printf("\nexample %d\n", n+1)
		for k, text := range row {
			const most = 200
			if r := []rune(text); len(r) > most {
				text = string(r[:most]) + "…"
			}
			w.printf("  %s: %s\n", oneLine(i.Columns[k].Name), oneLine(text))
		}
	}
	for n, r := range i.Readings {
		if n == 0 {
			w.printf("\nthe model reads, with what it learns to write %s\n", w.marked("marked"))
		}
		w.printf("  %s: ", oneLine(r.Where))
		for _, part := range r.Parts {
			text := lineEnds.Replace(part.Text)
			if part.Written {
				text = w.marked(text)
			}
			w.WriteString(text)
		}
		w.printf("\n")
	}
}

// lineEnds shows the characters that a terminal obeys and plain leaves.
var lineEnds = strings.NewReplacer("\n", `\n`, "\t", `\t`)

// marked is a text in colour, or between brackets where there are no colours.
func (w *writer) marked(text string) string {
	if w.color {
		return "\x1b[38;5;34m" + text + "\x1b[0m"
	}
	return "[" + text + "]"
}

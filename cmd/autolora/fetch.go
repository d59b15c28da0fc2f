package main

import (
	"context"
	"path"
	"path/filepath"
	"slices"

	"autolora/autolora"
	"autolora/data"
	"autolora/data/hub"
)

func fetchModelCommand() *command {
	cmd := &command{
		name:    "fetch model",
		operand: "NAME",
		short:   "fetch a model from the Hugging Face hub into the cache",
		long: `Fetches a model's configuration, safetensors weights and tokenizer from the
Hugging Face hub into the cache that Python's libraries use too, and prints the
folder. A download that was cut off goes on where it was.`,
		examples: []string{"autolora fetch model roberta-base"},
		cfg:      autolora.DefaultConfig(),
	}
	var revision string
	s := cmd.section("Flags")
	s.StringVar(&revision, "revision", "", "`REV` branch, tag or commit (default main)")
	cmd.common(s)
	cmd.run = func(ctx context.Context, c *console, name string) error {
		client, err := hub.NewClientFromEnv()
		if err != nil {
			return err
		}
		d := newDownload(c)
		dir, err := client.Model(ctx, name, revision, d.progress)
		d.end()
		if err != nil {
			return err
		}
		return cmd.printFolder(c, dir)
	}
	return cmd
}

func fetchDataCommand() *command {
	cmd := &command{
		name:    "fetch data",
		operand: "NAME",
		short:   "fetch a data set from the Hugging Face hub into the cache",
		long: `Fetches the parquet files of a GLUE task, or of any data set on the Hugging Face
hub, into the cache that Python's libraries use too, and prints the folder with
them: what --data takes.`,
		examples: []string{
			"autolora fetch data sst2",
			"autolora fetch data nyu-mll/glue --subset mrpc",
		},
		cfg: autolora.DefaultConfig(),
	}
	var config hub.DatasetConfig
	s := cmd.section("Flags")
	s.StringVar(&config.Name, "subset", "", "`NAME` part (\"configuration\") of a data set that has several")
	s.StringVar(&config.Revision, "revision", "", "`REV` branch, tag or commit (default main)")
	cmd.common(s)
	cmd.run = func(ctx context.Context, c *console, name string) error {
		if task, err := data.GLUETask(name); err == nil {
			name, config.Name = "nyu-mll/glue", task.Name
		}
		client, err := hub.NewClientFromEnv()
		if err != nil {
			return err
		}
		d := newDownload(c)
		set, err := client.Dataset(ctx, name, config, d.progress)
		d.end()
		if err != nil {
			return err
		}
		return cmd.printFolder(c, dataFolder(set))
	}
	return cmd
}

// dataFolder returns the one folder that holds the files of a data set, or the
// whole snapshot's.
func dataFolder(set *hub.Dataset) string {
	var folders []string
	for _, files := range set.Files {
		for _, file := range files {
			folders = append(folders, filepath.Dir(file))
		}
	}
	slices.Sort(folders)
	if folders = slices.Compact(folders); len(folders) == 1 {
		return folders[0]
	}
	return set.Dir
}

// printFolder prints where something was fetched to.
func (cmd *command) printFolder(c *console, dir string) error {
	if cmd.json {
		return c.printJSON(map[string]string{"folder": dir})
	}
	return c.print(func(w *writer) { w.printf("%s\n", dir) })
}

// fetchModel makes sure that --model is on this machine, with a bar if it has
// to come from the hub.
func (cmd *command) fetchModel(ctx context.Context, c *console) error {
	if cmd.cfg.Model == "" { // the adapter names one
		return nil
	}
	client, err := hub.NewClientFromEnv()
	if err != nil {
		return err
	}
	d := newDownload(c)
	defer d.end()
	_, err = client.Resolve(ctx, cmd.cfg.Model, d.progress)
	return err
}

// download reports a fetch, if there is anything to fetch.
type download struct {
	rep     reporter
	total   int64
	running bool
}

func newDownload(c *console) *download { return &download{rep: newReporter(c)} }

func (d *download) progress(p hub.Progress) {
	switch {
	case !d.running && p.Done >= p.Total:
		return // all of it was in the cache
	case !d.running:
		d.rep.Bytes("fetch", p.Total)
	case p.Total != d.total: // an index of shards was read
		d.rep.Resize(p.Total)
	}
	d.running, d.total = true, p.Total
	d.rep.Advance(int(p.Done), path.Base(p.File))
}

func (d *download) end() {
	if d.running {
		d.rep.End()
	}
}

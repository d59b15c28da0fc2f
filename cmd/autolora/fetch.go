package main

import (
	"context"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"autolora/data"
	"autolora/data/hub"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func fetchModelCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "model NAME",
		SuggestFor: strings.Fields("models weights checkpoint"),
		Short:      "fetch a model from the Hugging Face hub into the cache",
		Long: `Fetches a model's configuration, safetensors weights and tokenizer from the
Hugging Face hub into the cache that Python's libraries use too, and prints the
folder. A download that was cut off goes on where it was.`,
		Example: `  autolora fetch model roberta-base`,
	})
	s := cmd.section("Flags")
	revision := revisionFlag(s)
	cmd.common(s)
	cmd.run = func(ctx context.Context, c *console, args []string) error {
		return cmd.fetch(c, func(client *hub.Client, progress func(hub.Progress)) (string, error) {
			return client.Model(ctx, args[0], *revision, progress)
		})
	}
	return cmd
}

func fetchDataCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "data NAME",
		SuggestFor: strings.Fields("dataset datasets"),
		Short:      "fetch a data set from the Hugging Face hub into the cache",
		Long: `Fetches the parquet files of a GLUE task, or of any data set on the Hugging Face
hub, into the cache that Python's libraries use too, and prints the folder with
them: what --data takes.`,
		Example: `  autolora fetch data sst2
  autolora fetch data nyu-mll/glue --subset mrpc`,
	})
	var subset string
	s := cmd.section("Flags")
	s.StringVar(&subset, "subset", "", "`NAME` part (\"configuration\") of a data set that has several")
	revision := revisionFlag(s)
	cmd.common(s)
	cmd.run = func(ctx context.Context, c *console, args []string) error {
		name := args[0]
		if task, err := data.GLUETask(name); err == nil {
			name, subset = "nyu-mll/glue", task.Name
		}
		return cmd.fetch(c, func(client *hub.Client, progress func(hub.Progress)) (string, error) {
			set, err := client.Dataset(ctx, name, hub.DatasetConfig{Name: subset, Revision: *revision}, progress)
			if err != nil {
				return "", err
			}
			return dataFolder(set), nil
		})
	}
	return cmd
}

func revisionFlag(s *pflag.FlagSet) *string {
	return s.String("revision", "", "`REV` branch, tag or commit (default main)")
}

// fetch fetches something from the hub, with a bar, and prints the folder.
func (cmd *command) fetch(c *console, get func(*hub.Client, func(hub.Progress)) (string, error)) error {
	dir, err := fetch(c, get)
	if err != nil {
		return err
	}
	return cmd.show(c, map[string]string{"folder": dir}, func(w *writer) { w.printf("%s\n", dir) })
}

func fetch(c *console, get func(*hub.Client, func(hub.Progress)) (string, error)) (string, error) {
	client, err := hub.NewClientFromEnv()
	if err != nil {
		return "", err
	}
	rep, total := newReporter(c), int64(-1)
	defer func() {
		if total >= 0 {
			rep.End()
		}
	}()
	return get(client, func(p hub.Progress) {
		switch {
		case total < 0 && p.Done >= p.Total:
			return // all of it was in the cache
		case total < 0:
			rep.Bytes("fetch", p.Total)
		case p.Total != total: // an index of shards was read
			rep.Resize(p.Total)
		}
		total = p.Total
		rep.Advance(int(p.Done), path.Base(p.File))
	})
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

// fetchModel returns the folder of --model, with a bar if it has to come from the
// hub; "" if none is given.
func (cmd *command) fetchModel(ctx context.Context, c *console) (string, error) {
	return resolved(ctx, c, hub.Model, cmd.cfg.Model)
}

// fetchAdapter returns the folder of what is given as an adapter, with a bar if it
// has to come from the hub.
func fetchAdapter(ctx context.Context, c *console, adapter string) (string, error) {
	return resolved(ctx, c, hub.Adapter, adapter)
}

func resolved(ctx context.Context, c *console, kind *hub.Kind, given string) (string, error) {
	if given == "" { // of a model the adapter names one
		return "", nil
	}
	return fetch(c, func(client *hub.Client, progress func(hub.Progress)) (string, error) {
		return client.Resolve(ctx, kind, given, progress)
	})
}

package main

import (
	"context"
	"path/filepath"
	"strings"

	"autolora/autolora/report"

	"github.com/spf13/cobra"
)

func reportCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "report DIR…",
		SuggestFor: strings.Fields("plot summary summarise summarize visualise visualize tables"),
		Short:      "tables, statistics and pictures of the runs in folders",
		Long: `Reads every run in the folders and below them (a finished run's folder has a
results.json), and writes one page, report.html, that needs nothing but itself;
beside it each picture as PNG and SVG, the tables as tables.md, and all numbers
as report.json. The tables are printed too.

The tables are the paper's, with its rows beside those measured here. AutoLoRA
is compared with the other methods seed by seed, with confidence intervals, and
its ranks with what chance gives; other rules are compared with their controls.
Held-out losses of the same examples are paired one by one.`,
		Example: `  autolora report out/mrpc
  autolora report out/cola out/rte out/stsb --out out/glue-report`,
	})
	var out string
	s := cmd.section("Flags")
	s.StringVar(&out, "out", "", "`FOLDER` folder to write; made if it is missing, an earlier report in it is replaced (default \"report\" in the first DIR)")
	cmd.common(s)
	cmd.run = func(_ context.Context, c *console, dirs []string) error {
		if out == "" {
			out = filepath.Join(dirs[0], "report")
		}
		found, err := report.Load(dirs...)
		if err != nil {
			return err
		}
		r := report.Summarise(found)
		if _, err := r.Write(out); err != nil {
			return err
		}
		return cmd.show(c, r, func(w *writer) {
			r.Text(w, w.width) // w keeps the error
			r.TextTables(w, w.width)
			w.row("page", "%s", filepath.Join(out, report.PageFile))
			w.row("tables", "%s, %s", filepath.Join(out, report.MarkdownFile), filepath.Join(out, report.JSONFile))
			w.row("pictures", "%s", filepath.Join(out, "*.png, *.svg"))
		})
	}
	return cmd
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"autolora/autolora/job"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/foreign"
	"autolora/human"
	"autolora/nn"
	"autolora/nn/safetensors"
	"autolora/plainjson"
	"autolora/torchbind"

	"github.com/spf13/cobra"
)

func infoCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:        "info [PATH]",
		SuggestFor: strings.Fields("inspect show describe env doctor stats"),
		Short:      "versions and devices; what a file or folder holds",
		Long: `Without PATH: versions, devices, and what the CPU can do. With PATH, for which
--train or --model alone may stand: what a model folder, adapter folder,
results folder, ranks.json, results.json or safetensors file holds; of a file
of data its columns, rows, labels and first rows, and with --model how long
its texts are in tokens and what the model reads of the first, with what it
learns to write marked.`,
		Example: `  autolora info
  autolora info out/sst2/adapter
  autolora info out/sst2/ranks.json
  autolora info train.csv --model roberta-base --max-length 256
  autolora info --train chats.jsonl --model Qwen/Qwen3-0.6B`,
	})
	cmd.settings(settings.Info)
	cmd.common(cmd.section("Results"))
	cmd.run = func(ctx context.Context, c *console, args []string) error {
		switch {
		case len(args) > 0:
		case cmd.cfg.TrainFile != "":
			args = []string{cmd.cfg.TrainFile}
		case cmd.cfg.Model != "":
			dir, err := cmd.fetchModel(ctx, c)
			if err != nil {
				return err
			}
			args = []string{dir}
		}
		if len(args) > 0 {
			d, err := cmd.inspect(ctx, c, args[0])
			if err != nil {
				return err
			}
			return cmd.show(c, d.json, func(w *writer) {
				w.row("path", "%s", args[0])
				d.print(w)
			})
		}
		m, err := onTensors(cmd, func() (machineInfo, error) { return newMachineInfo(), nil })
		if err != nil {
			return err
		}
		return cmd.show(c, m, m.print)
	}
	return cmd
}

func versionCommand() *command {
	cmd := newCommand(&cobra.Command{
		Use:   "version",
		Short: "the version alone",
		Long:  "Prints the version; with --json the commit, libtorch and the devices too.",
	})
	cmd.common(cmd.section("Flags"))
	cmd.run = func(_ context.Context, c *console, _ []string) error {
		if !cmd.json {
			return c.print(func(w *writer) { w.printf("autolora %s\n", job.Version) })
		}
		m, err := onTensors(cmd, func() (machineInfo, error) { return newMachineInfo(), nil })
		if err != nil {
			return err
		}
		devices := []string{torchbind.CPU.String()}
		for i := range m.GPUs {
			devices = append(devices, torchbind.Device(i).String())
		}
		return c.printJSON(struct {
			Version string   `json:"version"`
			Commit  string   `json:"commit"`
			Torch   string   `json:"libtorch"`
			Devices []string `json:"devices"`
		}{m.Version, job.Commit(), m.Torch, devices})
	}
	return cmd
}

// machineInfo is what info says about the program and the machine.
type machineInfo struct {
	Version       string `json:"version"`
	Go            string `json:"go"`
	Torch         string `json:"libtorch"`
	Platform      string `json:"platform"`
	Cores         int    `json:"cores"`
	CPUCapability string `json:"cpu_capability"`
	BFloat16      bool   `json:"cpu_bfloat16"`
	Threads       int    `json:"threads"`
	CUDADevices   int    `json:"cuda_devices"`
	CUDAProblem   string `json:"cuda_problem,omitempty"`
	GPUs          []gpu  `json:"gpus,omitempty"`
	DefaultDevice string `json:"default_device"`
}

// gpu is what info says about one CUDA device.
type gpu struct {
	Name       string `json:"name,omitempty"`
	Capability string `json:"compute_capability,omitempty"`
	Total      int64  `json:"total_memory_bytes,omitempty"`
	Free       int64  `json:"free_memory_bytes,omitempty"`
	Problem    string `json:"problem,omitempty"` // why nothing else is known
}

func newMachineInfo() machineInfo {
	m := machineInfo{
		Version: job.Version, Go: runtime.Version(), Torch: torchbind.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Cores: runtime.NumCPU(), CPUCapability: torchbind.CPUCapability(), BFloat16: torchbind.HasBFloat16(), Threads: torchbind.NumThreads(),
	}
	n, err := torchbind.CUDADevices()
	m.CUDADevices = n
	if err != nil {
		m.CUDAProblem = oneLine(err.Error())
	}
	for i := range n {
		g := gpu{}
		if about, err := torchbind.DescribeDevice(torchbind.Device(i)); err != nil {
			g.Problem = oneLine(err.Error())
		} else {
			g = gpu{Name: about.Name, Capability: fmt.Sprintf("%d.%d", about.Capability[0], about.Capability[1]), Total: about.Total, Free: about.Free}
		}
		m.GPUs = append(m.GPUs, g)
	}
	m.DefaultDevice = torchbind.CPU.String()
	if d, err := torchbind.ParseDevice("auto"); err == nil {
		m.DefaultDevice = d.String()
	}
	return m
}

func (m machineInfo) print(w *writer) {
	w.row("autolora", "%s (%s, %s)", m.Version, m.Go, m.Platform)
	w.row("libtorch", "%s", m.Torch)
	bfloat16 := "bfloat16 in hardware"
	if !m.BFloat16 {
		bfloat16 = "no bfloat16 in hardware (works, but is not faster)"
	}
	w.row("CPU", "%d cores, %s, %s", m.Cores, m.CPUCapability, bfloat16)
	w.row("threads", "%d", m.Threads)
	for i, g := range m.GPUs {
		name := torchbind.Device(i).String()
		if g.Problem != "" {
			w.row(name, "%s", g.Problem)
			continue
		}
		w.row(name, "%s, compute capability %s, %s, %s free", g.Name, g.Capability, human.Bytes(g.Total), human.Bytes(g.Free))
	}
	switch {
	case len(m.GPUs) > 0:
	case m.CUDAProblem != "":
		w.row("CUDA", "none: %s", m.CUDAProblem)
	default:
		w.row("CUDA", "no device")
	}
	w.row("device", "%s (--device auto)", m.DefaultDevice)
}

// contents is what a file or folder holds: an object with a "kind" for --json,
// and how it is printed for people.
type contents struct {
	json  any
	print func(w *writer)
}

// inspect tells files and folders apart, by their names and what is in them.
func (cmd *command) inspect(ctx context.Context, c *console, path string) (contents, error) {
	info, err := os.Stat(path)
	if err != nil {
		return contents{}, fmt.Errorf("info: %w", err)
	}
	has := func(name string) bool { return exists(filepath.Join(path, name)) }
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case has("adapter_config.json"):
		return inspectAdapter(path)
	case has(runs.ResultsFile) || has(runs.RanksFile) || has(runs.MetricsFile):
		return inspectResults(path)
	case has("config.json"):
		return inspectModel(path)
	case info.IsDir():
		if below := runs.Below(path, runs.ResultsFile); below != "" {
			return contents{}, fmt.Errorf("%s holds several runs: give one of them, such as %s; autolora report tells of all", path, below)
		}
		return contents{}, fmt.Errorf("%s: neither a model (config.json), an adapter (adapter_config.json) nor results (%s)", path, runs.ResultsFile)
	case isData(path):
		return cmd.inspectData(ctx, c, path)
	case ext == ".json":
		about, err := inspectJSON(path)
		if about.print == nil { // neither ranks nor results: perhaps rows
			rows, dataErr := data.Describe(path, false, 2)
			switch {
			case dataErr != nil && err != nil:
				return about, fmt.Errorf("%w; as data: %w", err, dataErr)
			case dataErr == nil && rows.Rows == 2:
				return cmd.inspectData(ctx, c, path)
			}
		}
		return about, err
	case slices.Contains([]string{".bin", ".pt", ".pth", ".ckpt", ".pkl"}, ext):
		return contents{}, fmt.Errorf("%s: pickled weights can run any program when they are read; only safetensors is read", path)
	}
	return inspectWeights(path)
}

// inspectJSON tells ranks.json and results.json apart by their keys.
func inspectJSON(path string) (contents, error) {
	text, err := foreign.ReadNamed(path, runs.MaxFile)
	if err != nil {
		return contents{}, fmt.Errorf("info: %w", err)
	}
	var keys map[string]json.RawMessage
	if err := plainjson.Unmarshal(text, &keys); err != nil {
		return contents{}, fmt.Errorf("%s: %w", path, jsonError(text, err))
	}
	switch {
	case keys["layers"] != nil:
		r, err := runs.ReadRanks(path)
		about := struct {
			Kind string `json:"kind"`
			runs.Ranks
		}{"ranks", r}
		return contents{about, func(w *writer) {
			w.row("kind", "ranks")
			for _, f := range []struct{ label, value string }{{"model", r.Model}, {"task", r.Task}, {"rule", r.Rule.String()}} {
				if f.value != "" {
					w.row(f.label, "%s", f.value)
				}
			}
			printRanks(w, r)
		}}, err
	case keys["scores"] != nil:
		r := resultsInfo{Kind: "results", Results: new(runs.Results)}
		err := runs.ReadOnly(filepath.Dir(path)).ReadJSON(filepath.Base(path), r.Results)
		return contents{r, r.print}, err
	}
	return contents{}, fmt.Errorf("%s: neither ranks (\"layers\") nor results (\"scores\")", path)
}

// resultsInfo is a results folder, or a results.json.
type resultsInfo struct {
	Kind    string        `json:"kind"`
	Results *runs.Results `json:"results,omitempty"`
	Ranks   *runs.Ranks   `json:"ranks,omitempty"`
	Files   []string      `json:"files,omitempty"`
	dir     string
}

func inspectResults(dir string) (contents, error) {
	i := resultsInfo{Kind: "results folder", dir: dir}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return contents{}, fmt.Errorf("info: %w", err)
	}
	for _, e := range entries {
		i.Files = append(i.Files, e.Name())
	}
	if slices.Contains(i.Files, runs.RanksFile) {
		r, err := runs.ReadOnly(dir).Ranks()
		if err != nil {
			return contents{}, err
		}
		i.Ranks = &r
	}
	if slices.Contains(i.Files, runs.ResultsFile) {
		err = runs.ReadOnly(dir).ReadJSON(runs.ResultsFile, &i.Results)
	}
	return contents{i, i.print}, err
}

func (i resultsInfo) print(w *writer) {
	w.row("kind", "%s", i.Kind)
	if i.Results == nil {
		w.row("state", "the run is not complete: there is no %s", runs.ResultsFile)
	} else {
		w.row("run", "%s on %s, seed %d", i.Results.Method, i.Results.Task, i.Results.Seed)
	}
	w.printf("\n")
	printOutcome(w, i.dir, &job.Outcome{Results: i.Results, Ranks: i.Ranks, Files: i.Files})
}

func inspectAdapter(dir string) (contents, error) {
	a, err := job.ReadAdapter(dir)
	if err != nil {
		return contents{}, err
	}
	about := struct {
		Kind string `json:"kind"`
		*job.StoredAdapter
	}{"adapter", a}
	return contents{about, func(w *writer) {
		w.row("kind", "%s, %s", a.Form, cmp.Or(a.TaskType, "of no task"))
		w.row("base model", "%s", a.BaseModel)
		w.row("weights", "%s parameters, and %s of the head", human.Thousands(a.Size), human.Thousands(a.Head))
		if len(a.Ranks.Layers) > 0 {
			printRanks(w, a.Ranks)
		}
	}}, nil
}

// tensorInfo is one tensor of a file.
type tensorInfo struct {
	Name  string  `json:"name"`
	DType string  `json:"dtype"`
	Shape []int64 `json:"shape"`
}

// weightList is the tensors of a file or checkpoint.
type weightList struct {
	Parameters int64            `json:"parameters"`
	Bytes      int64            `json:"bytes"`
	DTypes     map[string]int64 `json:"dtypes"` // parameters of each
	Tensors    []tensorInfo     `json:"tensors"`
}

// listWeights describes what a single file and a checkpoint have in common.
func listWeights(src interface {
	Names() []string
	Tensor(name string) (safetensors.Tensor, bool)
}) weightList {
	l := weightList{DTypes: map[string]int64{}}
	for _, name := range src.Names() {
		t, _ := src.Tensor(name)
		l.Parameters += t.NumElements()
		l.Bytes += int64(len(t.Data))
		l.DTypes[string(t.DType)] += t.NumElements()
		l.Tensors = append(l.Tensors, tensorInfo{name, string(t.DType), t.Shape})
	}
	return l
}

func (l weightList) print(w *writer) {
	types := strings.Join(slices.Sorted(maps.Keys(l.DTypes)), ", ")
	w.row("weights", "%d tensors, %s parameters, %s, %s", len(l.Tensors), human.Thousands(l.Parameters), types, human.Bytes(l.Bytes))
}

func inspectWeights(path string) (contents, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return contents{}, err
	}
	defer f.Close()
	about := struct {
		Kind     string            `json:"kind"`
		Metadata map[string]string `json:"metadata,omitempty"`
		weightList
	}{"safetensors", f.Metadata(), listWeights(f)}
	return contents{about, func(w *writer) {
		w.row("kind", "safetensors file")
		about.weightList.print(w)
		for _, key := range slices.Sorted(maps.Keys(about.Metadata)) {
			w.row("metadata", "%s = %s", key, oneLine(about.Metadata[key]))
		}
		w.printf("\n")
		for _, t := range about.Tensors {
			w.printf("  %-4s %-16s %s\n", t.DType, fmt.Sprint(t.Shape), t.Name)
		}
	}}, nil
}

func inspectModel(dir string) (contents, error) {
	cfg, err := nn.ReadConfig(dir)
	if err != nil {
		return contents{}, err
	}
	ckpt, err := safetensors.OpenCheckpoint(dir)
	if err != nil {
		return contents{}, err
	}
	defer ckpt.Close()
	outputs, err := nn.StoredOutputs(dir)
	if err != nil {
		return contents{}, err
	}
	about := struct {
		Kind     string     `json:"kind"`
		Type     string     `json:"model_type"`
		Layers   int        `json:"layers"`
		Hidden   int64      `json:"hidden_size"`
		Heads    int64      `json:"attention_heads"`
		Vocab    int64      `json:"vocab_size"`
		MaxToken int64      `json:"max_tokens"`
		Labels   []string   `json:"labels,omitempty"`
		Head     bool       `json:"head"` // the checkpoint has one for classification
		Files    []string   `json:"files"`
		Weights  weightList `json:"weights"`
		// Memory is what the weights take, by how they are held.
		Memory map[nn.Quantization]int64 `json:"memory_bytes"`
	}{
		"model", cfg.ModelType, cfg.NumHiddenLayers, cfg.HiddenSize, cfg.NumAttentionHeads, cfg.VocabSize, cfg.MaxTokens(), cfg.LabelNames(),
		outputs > 0,
		ckpt.Files(), listWeights(ckpt), map[nn.Quantization]int64{},
	}
	forms := nn.Quantizations
	if cfg.Quantized != "" {
		forms = []nn.Quantization{nn.AsStored}
	}
	for _, form := range forms {
		c := settings.Default()
		c.Quantize, c.Pack = form, "off"
		about.Memory[form] = job.WeightBytes(cfg, c)
	}
	return contents{about, func(w *writer) {
		w.row("kind", "model folder, %s", about.Type)
		w.row("size", "%d blocks, hidden size %d, %d heads, vocabulary of %s, texts of up to %d tokens",
			about.Layers, about.Hidden, about.Heads, human.Thousands(about.Vocab), about.MaxToken)
		about.Weights.print(w)
		var memory []string
		for _, form := range forms {
			name := "in float32"
			switch {
			case cfg.Quantized != "":
				name = "in " + string(cfg.Quantized)
			case form != nn.AsStored:
				name = "with --quantize " + string(form)
			}
			memory = append(memory, human.Bytes(about.Memory[form])+" "+name)
		}
		w.row("memory", "%s", strings.Join(memory, ", "))
		switch {
		case !about.Head:
			w.row("head", "none")
		case len(about.Labels) == 0:
			w.row("head", "classification")
		default:
			w.row("head", "classification: %s", strings.Join(about.Labels, ", "))
		}
		for _, file := range about.Files {
			w.row("file", "%s", file)
		}
	}}, nil
}

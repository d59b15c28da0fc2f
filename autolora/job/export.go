package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"autolora/atomicfile"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data/hub"
	"autolora/nn"
	"autolora/nn/adapterhub"
	"autolora/nn/gguf"
	"autolora/nn/peft"
	"autolora/nn/safetensors"
)

// The formats of export.
const (
	FormatPEFT   = "peft"   // as trained: one lora_alpha, a rank per layer
	FormatFolded = "folded" // the scale in B, alpha = rank: for programs with one scale, as vLLM
	FormatMerged = "merged" // the whole model
	FormatGGUF   = "gguf"   // llama.cpp's file
)

// Formats are all of them.
var Formats = []string{FormatPEFT, FormatFolded, FormatMerged, FormatGGUF}

// ExportTypes are the names of the types in which numbers can be exported.
func ExportTypes() []string { return slices.Sorted(maps.Keys(nn.WriteTypes)) }

// ggufFile is the name of llama.cpp's file.
const ggufFile = "adapter.gguf"

// modelFolder returns the folder of a model that is given as one, or by its
// name on the hub.
func modelFolder(ctx context.Context, model string) (string, error) {
	return resolved(ctx, hub.Model, model)
}

func resolved(ctx context.Context, kind *hub.Kind, model string) (string, error) {
	if model == "" {
		return "", settings.Errorf("model", "none is given; want a Hugging Face folder, or a name on the hub")
	}
	client, err := hub.NewClientFromEnv()
	if err != nil {
		return "", err
	}
	return client.Resolve(ctx, kind, model, nil)
}

// export writes what the model learnt into the output folder and returns its
// name there.
func (j *job) export(model *nn.Model) (string, error) {
	name, full := runs.AdapterDir, j.results.Method == runs.MethodFull
	if full {
		name = runs.ModelDir
	}
	return name, j.out.Make(name, func(path string) error {
		o, card, err := j.session.origin(j.results.Threshold), j.card(), error(nil)
		o.describe(&card)
		if full {
			err = j.session.writeModel(model, path, card, safetensors.F32)
		} else if err = j.writeAdapter(model, path, card); err == nil {
			err = nn.CopyTokenizer(j.session.dir, path)
		}
		if err != nil {
			return err
		}
		return o.write(path)
	})
}

// writeAdapter writes what the model learnt as an adapter with a card.
func (j *job) writeAdapter(model *nn.Model, path string, card peft.ModelCard) error {
	var skipped []string
	if j.ranks != nil {
		for _, l := range j.ranks.Layers {
			if l.Rank == 0 {
				skipped = append(skipped, l.Name)
			}
		}
	}
	base, revision := hub.NameOf(j.cfg.Model)
	if len(model.Bottlenecks()) > 0 {
		return adapterhub.Write(path, model.BottleneckAdapter(base, j.session.task.Labels), card)
	}
	adapter := model.Adapter(base, skipped)
	adapter.Config.Revision = revision
	if err := setLabels(adapter, j.session.task.Labels); err != nil {
		return err
	}
	return peft.Write(path, adapter, card)
}

// writeModel writes the whole model in dtype with a card.
func (s *session) writeModel(model *nn.Model, path string, card peft.ModelCard, dtype safetensors.DType) error {
	if err := model.Write(path, s.task.Labels, dtype); err != nil {
		return err
	}
	base, _ := hub.NameOf(s.cfg.Model)
	text := card.Model(base, model.Output.TaskType())
	return os.WriteFile(filepath.Join(path, "README.md"), []byte(text), 0o666)
}

// card is what the card of the job's adapter or model says.
func (j *job) card() peft.ModelCard {
	card := peft.ModelCard{Task: j.session.task.Name, Labels: j.session.task.Labels, Made: []peft.Fact{
		{Name: "program", Value: "autolora " + Version}, {Name: "method", Value: j.results.Method}, {Name: "seed", Value: strconv.FormatUint(j.cfg.Seed, 10)},
		{Name: "steps", Value: fmt.Sprintf("%d of search, %d of training", j.results.Steps.Search, j.results.Steps.Train)},
	}}
	if n := j.results.Steps.Tune; n > 0 {
		card.Made[len(card.Made)-1].Value += fmt.Sprintf(", %d of trials that chose the settings", n)
	}
	if p := j.pruning; p.Curve != nil {
		card.Made = append(card.Made, peft.Fact{Name: "cut", Value: fmt.Sprintf("to %d of %d parameters, by %s", p.Chosen.Parameters, p.Whole().Parameters, p.By)})
	}
	for _, name := range j.session.task.Metrics {
		if v, ok := j.results.Scores[name]; ok {
			card.Scores = append(card.Scores, peft.Score{Name: name, Value: v})
		}
	}
	return card
}

// Export writes an adapter in another form: PEFT's own, PEFT's with the scale folded
// into B, merged into the whole model, which alone takes tensors, or llama.cpp's file. dtype is the type of the
// numbers in the latter two; "": the base's, and float32 for llama.cpp. It returns the files.
func Export(ctx context.Context, host Host, cfg settings.Config, adapterDir, format, dtype, outDir string) ([]string, error) {
	if outDir == "" {
		return nil, settings.Errorf("out", "no output folder is given")
	}
	if _, err := os.Lstat(outDir); err == nil {
		return nil, fmt.Errorf("output folder %s exists: choose another", outDir)
	}
	stored, err := ReadAdapter(adapterDir)
	if err != nil {
		return nil, err
	}
	if err := runs.Apart(outDir, runs.Input{What: "adapter", Path: stored.dir}); err != nil {
		return nil, err
	}
	switch {
	case !slices.Contains(Formats, format):
		return nil, settings.Errorf("format", "got %q, want one of %s", format, strings.Join(Formats, ", "))
	case dtype != "" && nn.WriteTypes[dtype] == "":
		return nil, settings.Errorf("dtype", "got %q, want one of %s", dtype, strings.Join(ExportTypes(), ", "))
	case dtype != "" && (format == FormatPEFT || format == FormatFolded):
		return nil, settings.Errorf("dtype", "the format %s keeps the adapter's type: only %s and %s take another", format, FormatMerged, FormatGGUF)
	case stored.lora == nil:
		return nil, fmt.Errorf("%s holds a %s: only LoRA can be exported as %s", adapterDir, stored.Form, format)
	}
	o, err := readOrigin(stored.dir)
	if err != nil {
		return nil, err
	}
	card := peft.ModelCard{Labels: stored.Labels, Made: []peft.Fact{{Name: "program", Value: "autolora " + Version}, {Name: "format", Value: format}}}
	o.describe(&card)
	switch format {
	case FormatMerged:
		err = exportMerged(ctx, host, cfg, stored, nn.WriteTypes[dtype], outDir, o, card)
	case FormatGGUF:
		err = exportGGUF(ctx, cfg, stored, cmp.Or(nn.WriteTypes[dtype], safetensors.F32), outDir, card)
	default:
		err = exportAdapter(stored, format, outDir, o, card)
	}
	if err != nil {
		return nil, err
	}
	return filesIn(outDir)
}

// exportAdapter writes an adapter as it is, or folded.
func exportAdapter(stored *StoredAdapter, format, outDir string, o *origin, card peft.ModelCard) (err error) {
	adapter := stored.lora
	if format == FormatFolded {
		if adapter, err = adapter.Fold(); err != nil {
			return err
		}
	}
	return atomicfile.Make(outDir, func(temp string) error {
		if err := peft.Write(temp, adapter, card); err != nil {
			return err
		}
		return errors.Join(o.write(temp), nn.CopyTokenizer(stored.dir, temp))
	})
}

// exportGGUF writes an adapter as llama.cpp's file, with a card.
func exportGGUF(ctx context.Context, cfg settings.Config, adapter *StoredAdapter, dtype safetensors.DType, outDir string, card peft.ModelCard) error {
	dir, err := resolved(ctx, hub.Config, cmp.Or(cfg.Model, adapter.Base()))
	if err != nil {
		return err
	}
	arch, err := nn.ReadConfig(dir)
	if err != nil {
		return err
	}
	base := gguf.Base{
		ModelType: arch.ModelType, Blocks: arch.NumHiddenLayers, Heads: arch.NumAttentionHeads, KeyValueHeads: arch.NumKeyValueHeads, HeadDim: arch.HeadDim,
	}
	return atomicfile.WriteFolder(outDir, func(temp string) error {
		if err := gguf.WriteLoRA(filepath.Join(temp, ggufFile), adapter.lora, base, dtype); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(temp, "README.md"), []byte(card.GGUF(adapter.BaseModel, adapter.TaskType, ggufFile)), 0o666)
	})
}

// exportMerged merges an adapter into its base model.
func exportMerged(ctx context.Context, host Host, cfg settings.Config, adapter *StoredAdapter, dtype safetensors.DType, outDir string, o *origin, card peft.ModelCard) error {
	s, err := sessionFor(ctx, cfg, adapter)
	if err != nil {
		return err
	}
	defer s.close()
	s.rep = host.Reporter
	if err := checkOut(settings.Config{Out: outDir}, s.dir); err != nil {
		return err
	}
	model, err := s.trained(adapter)
	if err != nil {
		return err
	}
	defer model.Close()
	card.Labels, dtype = s.task.Labels, cmp.Or(dtype, model.Stored)
	if note := mergedNote(s.cfg.Quantize, s.arch.Quantized, dtype); note != "" {
		s.rep.Note(note)
	}
	if o, err = o.inFull(); err != nil {
		return err
	}
	return atomicfile.Make(outDir, func(temp string) error {
		return errors.Join(s.writeModel(model, temp, card, dtype), o.write(temp))
	})
}

// mergedNote says which numbers of a base that is held in 8 or 4 bits are merged; "" of
// another. stored is the form that its files have.
func mergedNote(held, stored nn.Quantization, dtype safetensors.DType) string {
	const note = "the adapter is added to the base's numbers as %s holds them, and the model is written in full, in %s"
	switch {
	case stored != "":
		return fmt.Sprintf(note, stored, nn.TypeName(dtype))
	case held != nn.AsStored:
		return fmt.Sprintf(note+"; with quantize %s it is added to those of the model's files", held, nn.TypeName(dtype), nn.AsStored)
	}
	return ""
}

func filesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var files []string
	for _, e := range entries {
		files = append(files, filepath.Join(dir, e.Name()))
	}
	return files, err
}

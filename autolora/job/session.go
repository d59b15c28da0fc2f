package job

import (
	"context"
	"fmt"
	"maps"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"autolora/autolora"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/tokenizer"
	"autolora/nn"
	"autolora/torchbind"
)

// Version is the program's version; the build sets it.
var Version = "devel"

// Commit returns the commit of the source that the program was built from, "" if
// the build did not say it.
func Commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return ""
}

// session is what the commands share: the task's data, the tokenizer, and how
// models are loaded. It is to be closed.
type session struct {
	cfg    settings.Config
	procs  *Processes
	rep    Reporter
	dir    string // the model folder
	arch   nn.Config
	task   data.Task
	labels []string             // of a model that is trained already, for own files; nil: the files say them
	splits *data.Splits         // nil where the data come from elsewhere
	tok    *tokenizer.Tokenizer // nil before openTokenizer
	enc    *tokenizer.Encoder
	scorer *textScorer // in generation
	// weights are what the examples of each class count in a loss; nil: all alike.
	weights []float64
	units   nn.Units // in which a regression is learnt
	device  torchbind.Device
	dtype   torchbind.DType
	noted   []string                // what was said once
	cut     map[string]map[int]bool // lines of sentences that are cut into pieces, by data set; an evaluation may come again
	loaded  time.Duration           // spent on data, tokenizer and weights
}

// newSession checks cfg and reads the model's configuration.
func newSession(ctx context.Context, host Host, cfg settings.Config) (*session, error) {
	began := time.Now()
	err := cfg.Check()
	if err != nil {
		return nil, err
	}
	dir, err := modelFolder(ctx, cfg.Model)
	if err != nil {
		return nil, err
	}
	cfg, guessed, err := completeFiles(cfg, dir)
	if err != nil {
		return nil, err
	}
	s := &session{cfg: cfg, dir: dir, cut: map[string]map[int]bool{}, procs: host.Processes, rep: host.Processes.reporter(host.Reporter)}
	if guessed != "" {
		s.rep.Note(guessed)
	}
	if s.device, err = torchbind.ParseDevice(host.Processes.device(cfg.Device)); err != nil {
		return nil, &settings.Error{Setting: "device", Err: err}
	}
	if cfg.Threads > 0 {
		torchbind.SetNumThreads(cfg.Threads)
	}
	torchbind.AllowTF32(cfg.TF32)
	if s.arch, err = nn.ReadConfig(s.dir); err != nil {
		return nil, err
	}
	if err := s.chooseDType(); err != nil {
		return nil, err
	}
	if note := fitLength(&s.cfg, s.arch); note != "" {
		s.rep.Note(note)
	}
	s.loaded = time.Since(began)
	return s, nil
}

// openTokenizer makes texts into tokens of the model.
func (s *session) openTokenizer() (err error) {
	if s.tok, err = tokenizer.Load(s.dir); err != nil {
		return err
	}
	s.enc, err = newEncoder(s.tok, s.cfg.MaxLength, s.arch)
	return err
}

func newEncoder(tok *tokenizer.Tokenizer, maxLength int, arch nn.Config) (*tokenizer.Encoder, error) {
	enc, err := tokenizer.NewEncoder(tok, maxLength, int(arch.MaxTokens()), int(arch.VocabSize))
	if err != nil {
		return nil, &settings.Error{Setting: "max-length", Err: err}
	}
	return enc, nil
}

// checkTokens looks, before a long run, for an example with a token for which the
// model has no row, where the tokenizer has such.
func (s *session) checkTokens(ctx context.Context, sets []*data.Dataset) error {
	if s.tok.Size() <= int(s.arch.VocabSize) {
		return nil
	}
	enc, err := newEncoder(s.tok, s.cfg.MaxLength, s.arch) // which counts by itself what it cuts
	if err != nil {
		return err
	}
	for _, d := range sets {
		pieces, _, err := data.Pieces(d, enc)
		if err != nil {
			return err
		}
		corpus := data.NewCorpus(pieces, enc)
		for i := range pieces.Examples {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := corpus.Length(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// close frees the tokenizer.
func (s *session) close() {
	if s.tok != nil {
		s.tok.Close()
	}
}

// pieces cuts the sentences of d that are longer than the setting says, and the
// conversations of which one text does not show all turns as they are written.
func (s *session) pieces(d *data.Dataset) (*data.Dataset, error) {
	pieces, cut, err := data.Pieces(d, s.enc)
	if len(cut) > 0 && d.Kind == data.Chat {
		s.rep.Note(fmt.Sprintf("%s: %d conversations are read as several examples each, %d in all: the chat template writes earlier turns otherwise than the last", d.Name, len(cut), pieces.Len()))
		return pieces, err
	}
	for _, i := range cut {
		if s.cut[d.Name] == nil {
			s.cut[d.Name] = map[int]bool{}
		}
		s.cut[d.Name][d.Examples[i].Line] = true
	}
	return pieces, err
}

// noteCut says how many sentences were cut into pieces, but for those of which it
// has been said.
func (s *session) noteCut() {
	for _, name := range slices.Sorted(maps.Keys(s.cut)) {
		s.rep.Note(fmt.Sprintf("%s: %d sentences are longer than max-length %d and cut between words", name, len(s.cut[name]), s.cfg.MaxLength))
	}
	clear(s.cut)
}

// noteTruncated says how much of the data was cut for its length.
func (s *session) noteTruncated() {
	s.noteCut()
	if n := s.enc.Truncated(); n > 0 {
		s.rep.Note(fmt.Sprintf("%d %s were longer than max-length %d and cut; the first: %s", n, kinds[s.task.Kind].cut, s.cfg.MaxLength, strings.Join(s.enc.FirstTruncated(), ", ")))
	}
}

// corpus joins a data set and the model's tokenizer.
func (s *session) corpus(d *data.Dataset) *data.Corpus { return data.NewCorpus(d, s.enc) }

// load reads the model with a head for the task.
func (s *session) load(head nn.HeadSource, full bool) (*nn.Model, error) {
	began := time.Now()
	defer func() { s.loaded += time.Since(began) }()
	if s.cfg.NewHead && head == nn.HeadIfStored {
		head = nn.HeadFresh
	}
	cfg := nn.LoadConfig{
		Output: kinds[s.task.Kind].head, Labels: int64(s.task.Outputs()), Head: head, LabelSmoothing: s.cfg.Smoothing,
		ClassWeights: s.weights, Units: s.units, Seed: s.cfg.Seed, Full: full, Pack: newShape(s.arch).packed(s.cfg, scoresVocabulary(s.task)), Quantize: s.cfg.Quantize, Round: s.device != torchbind.CPU, DType: s.dtype, Device: s.device,
	}
	if s.cfg.Dropout >= 0 {
		cfg.Dropout = &s.cfg.Dropout
	}
	model, err := nn.Load(s.dir, cfg)
	if err != nil {
		return nil, err
	}
	for _, note := range model.Notes {
		s.noteOnce(note)
	}
	return model, nil
}

// noteOnce says what a search and a training, or many trials, would say again.
func (s *session) noteOnce(line string) {
	if !slices.Contains(s.noted, line) {
		s.noted = append(s.noted, line)
		s.rep.Note(line)
	}
}

// execution says how the steps of a search or a training are computed, with the
// dropout of a seed. They are replayed as graphs if the device has graphs and
// nothing keeps the steps from being the same. The graphs, nil for none, are to be
// closed before the model.
func (s *session) execution(same bool, seed uint64) autolora.Execution {
	how := autolora.Execution{Parallel: s.procs.parallel(), GradientCheckpointing: s.cfg.GradientCheckpointing, Seed: seed}
	switch {
	case s.device == torchbind.CPU || !s.cfg.Graphs:
	case s.cfg.GradientCheckpointing:
		s.noteOnce("no CUDA graphs: gradient-checkpointing sets the seed of dropout within a step")
	case s.procs != nil:
		s.noteOnce("no CUDA graphs: several processes share the run")
	case !same:
		s.noteOnce("no CUDA graphs: with these settings a step depends on numbers that the host reads")
	default:
		how.Graphs = autolora.NewGraphs(s.device, s.rep.Note)
	}
	return how
}

// workers is the number of goroutines that tokenise ahead of the trainer.
const workers = 2

// stepsFor returns steps if it is set, else those of so many epochs.
func stepsFor(steps int, epochs float64, batchesPerEpoch, accumulate int) int {
	if steps > 0 {
		return steps
	}
	return max(1, int(math.Round(epochs*float64(batchesPerEpoch)/float64(accumulate))))
}

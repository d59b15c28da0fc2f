package job

import (
	"context"
	"fmt"
	"math"
	"strings"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/data/metrics/nlg"
	"autolora/nn"
	"autolora/nn/generate"
	"autolora/torchbind"
)

// checkRoom returns an error where, in generation, prompts and what is written for them may
// not fit the model.
func (s *session) checkRoom() error {
	if most := s.arch.MaxTokens(); s.task.Kind.Writes() && int64(s.cfg.MaxLength+s.cfg.Decoding.MaxNewTokens) > most {
		return settings.Errorf("max-length", "%d and max-new-tokens %d: the model has positions for %d tokens in all", s.cfg.MaxLength, s.cfg.Decoding.MaxNewTokens, most)
	}
	return nil
}

// prompts returns the tokens from which to generate for every example of d.
func (s *session) prompts(ctx context.Context, d *data.Dataset) ([][]int64, error) {
	corpus := s.corpus(d.Prompts())
	if err := corpus.EncodeAll(ctx, workers); err != nil {
		return nil, err
	}
	prompts := make([][]int64, d.Len())
	for i := range prompts {
		var err error
		if prompts[i], err = corpus.IDs(i); err != nil {
			return nil, err
		}
	}
	return prompts, nil
}

// textsAtATime is how many texts are written together, at least: with fewer, a
// step takes longer to read the weights than to multiply by them.
const textsAtATime = 128

// write generates a text for the source of every example of d.
func (s *session) write(ctx context.Context, model *nn.Model, d *data.Dataset, how computing) (a answers, err error) {
	cfg := s.cfg.Generation()
	// A token that stands for the text that ends a task's outputs ends a text, as
	// LoRA's decoder has it for GPT-2's empty line.
	if s.task.Kind == data.Chat {
		cfg.End, err = s.tok.ChatEnd()
	} else {
		cfg.End, err = s.tok.EndTokens(s.task.Stop)
	}
	if err != nil {
		return a, err
	}
	prompts, err := s.prompts(ctx, d)
	if err != nil {
		return a, err
	}
	var own []int // examples that this process writes for
	var ownPrompts [][]int64
	for i, prompt := range prompts {
		if s.procs.share(i) {
			own, ownPrompts = append(own, i), append(ownPrompts, prompt)
		}
	}
	written, computed, err := generate.Generate(ctx, model, ownPrompts, max(s.cfg.BatchSize, textsAtATime/s.cfg.Decoding.Beams), cfg, func(done int) {
		how.progress(done * len(prompts) / len(ownPrompts))
	})
	if err != nil {
		return a, err
	}
	total, err := s.procs.work(runs.Work{Tokens: computed.Tokens, Forward: computed.Passes})
	if err != nil {
		return a, err
	}
	how.work.Add(total)
	texts := make([]string, len(prompts))
	for k, best := range written {
		i := own[k]
		if texts[i], err = s.tok.DecodeTarget(best[0].IDs, s.task.Stop); err != nil {
			return a, fmt.Errorf("%s: %w", d.Examples[i].Where(), err)
		}
		if !how.texts || s.task.Kind != data.Chat {
			texts[i] = oneLine(texts[i]) // a line of the file of hypotheses
		}
	}
	a.texts, err = together(s.procs, texts, func(text string) bool { return text != "" })
	return a, err
}

// oneLine is a text with single spaces for white space.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// answer writes the assistant's last turns where they are asked for.
func (s *session) answer(ctx context.Context, model *nn.Model, d *data.Dataset, how computing) (a answers, err error) {
	if s.scorer == nil && !how.texts {
		return a, nil
	}
	return s.write(ctx, model, d, how)
}

// scoreChats scores what the model says of the right turns, and what it writes
// itself where that is asked for.
func (s *session) scoreChats(ctx context.Context, model *nn.Model, d *data.Dataset, a answers, how computing) (out scored, err error) {
	out.scores = metrics.Scores{}
	if s.scorer != nil {
		how = silently(how.work) // all that was written has been told
		if out.scores, err = s.scorer.score(d, a.texts); err != nil {
			return out, err
		}
	}
	out.losses, err = s.targetLosses(ctx, model, d, how)
	out.scores[metrics.NamePerplexity] = min(math.Exp(out.losses.Mean()), math.MaxFloat64) // JSON has no infinity
	return out, err
}

// targetLosses returns the mean loss of the tokens of every example's targets.
func (s *session) targetLosses(ctx context.Context, model *nn.Model, d *data.Dataset, how computing) (l runs.Losses, err error) {
	targets := d.Targets()
	type target struct {
		Loss   float64 // the sum over its tokens
		Tokens int
	}
	all := make([]target, targets.Len())
	err = s.eachBatch(ctx, model, targets, how.work, func(scope *torchbind.Scope, b *autolora.Batch, packed *data.Batch, done int) error {
		logits, at := model.Logits(scope, b.Batch, nil), int64(0)
		for k, i := range packed.Index {
			n := int64(packed.WantPer[k])
			loss := torchbind.CrossEntropy(scope, torchbind.Narrow(scope, logits, 0, at, n), torchbind.Narrow(scope, b.Labels, 0, at, n), 0)
			all[i] = target{float64(n) * loss.Item(), int(n)}
			at += n
		}
		how.progress(done * d.Len() / targets.Len())
		return nil
	})
	if err != nil {
		return l, err
	}
	if all, err = together(s.procs, all, func(t target) bool { return t.Tokens > 0 }); err != nil {
		return l, err
	}
	for i, t := range all {
		if !autolora.Finite(t.Loss) {
			return l, fmt.Errorf("%s: the loss is %v: %w", targets.Examples[i].Where(), t.Loss, generate.ErrBroken)
		}
	}
	l.Data = d.Digest()
	for _, ex := range d.Examples {
		var sum target
		own := 1
		if ex.Writing != nil {
			own = max(len(ex.References), 1)
		}
		for _, t := range all[:own] {
			sum.Loss, sum.Tokens = sum.Loss+t.Loss, sum.Tokens+t.Tokens
		}
		l.Add(sum.Loss, sum.Tokens)
		all = all[own:]
	}
	return l, nil
}

// scoreTexts scores what was written, and the loss of what is right.
func (s *session) scoreTexts(ctx context.Context, model *nn.Model, d *data.Dataset, a answers, how computing) (out scored, err error) {
	if out.scores, err = s.scorer.score(d, a.texts); err == nil {
		out.losses, err = s.targetLosses(ctx, model, d, silently(how.work))
	}
	return out, err
}

// textScorer scores generated texts as the official scripts of a task do.
type textScorer struct {
	pipeline nlg.Pipeline
	options  nlg.Options
}

// newTextScorer returns what scores texts by some metrics of a pipeline. It reads
// METEOR's word lists, so that what is missing is known before a model is trained.
func newTextScorer(scoring string, names []string, cfg settings.Config) (*textScorer, error) {
	pipeline, err := nlg.FindPipeline(scoring)
	if err != nil {
		return nil, err
	}
	options, err := nlg.NewOptions(pipeline, names, cfg.Meteor, cfg.Paraphrases)
	return &textScorer{pipeline, options}, err
}

// score compares texts with the references of d. Scores of a subset of d have
// its name after theirs.
func (x *textScorer) score(d *data.Dataset, texts []string) (metrics.Scores, error) {
	scores := metrics.Scores{}
	for _, subset := range append([]string{""}, d.Subsets()...) {
		var segments []nlg.Segment
		for i, text := range texts {
			switch ex := d.Examples[i]; {
			case ex.Chat != nil:
				if answer, ok := ex.Chat.Answer(); ok {
					segments = append(segments, nlg.Segment{Hypothesis: text, References: []string{oneLine(answer)}})
				}
			case subset == "" || ex.Subset == subset:
				segments = append(segments, nlg.Segment{Hypothesis: text, References: ex.References})
			}
		}
		report, err := x.pipeline.Score(segments, x.options)
		if err != nil {
			return nil, err
		}
		for name, v := range report.Scores {
			if subset != "" {
				name += "_" + subset
			}
			scores[name] = v
		}
	}
	return scores, nil
}

// paraphrases tells whether METEOR had its table of paraphrases; nil without
// METEOR.
func (x *textScorer) paraphrases() *bool {
	if x == nil || x.options.METEOR == nil {
		return nil
	}
	had := x.options.METEOR.Label() == metrics.NameMETEOR
	return &had
}

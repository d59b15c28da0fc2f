package metrics

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Scheme says how the tags of words are read as entities: names of several words, of one type each.
type Scheme string

// The schemes.
const (
	// Lenient reads any mixture of B-, I-, E- and S- tags as conlleval and seqeval's default mode do: an I-x
	// behind something else begins an entity just as B-x does.
	Lenient Scheme = "lenient"
	// IOB2 is seqeval's strict mode: an entity is B-x and the I-x behind it, other I- tags are ignored.
	IOB2 Scheme = "iob2"
	// IOBES is seqeval's strict mode: an entity is S-x, or B-x, any number of I-x, and E-x.
	IOBES Scheme = "iobes"
)

// Entity is one entity of a sentence.
type Entity struct {
	Type       string // "protein"; "_" for a tag without a type
	Start, End int    // its words are Start to End-1
}

// Entities returns the entities that the tags of one sentence make, in order. The error is for a tag that is
// empty or that the scheme does not have.
func Entities(tags []string, scheme Scheme) ([]Entity, error) {
	switch scheme {
	case Lenient:
		return lenient(tags)
	case IOB2, IOBES:
		return strict(tags, scheme)
	}
	return nil, fmt.Errorf("unknown scheme of tags %q: want %s, %s or %s", string(scheme), Lenient, IOB2, IOBES)
}

// lenient is seqeval's get_entities, which is conlleval's rule too.
func lenient(tags []string) ([]Entity, error) {
	var found []Entity
	start, last, lastType := 0, 'O', "_"
	for i := range len(tags) + 1 {
		prefix, kind := 'O', "_"
		if i < len(tags) {
			var rest string
			if prefix, rest = cutPrefix(tags[i]); prefix == 0 {
				return nil, errEmptyTag(i)
			}
			if _, after, ok := strings.Cut(rest, "-"); ok {
				rest = after
			}
			kind = cmp.Or(rest, "_")
		}
		change := kind != lastType
		if ends(last, prefix) || change && last != 'O' && last != '.' {
			found = append(found, Entity{lastType, start, i})
		}
		if begins(last, prefix) || change && prefix != 'O' && prefix != '.' {
			start = i
		}
		last, lastType = prefix, kind
	}
	return found, nil
}

// ends reports whether an entity ends between two prefixes, whatever their types.
func ends(before, after rune) bool {
	return strings.ContainsRune("ES", before) || strings.ContainsRune("BI", before) && strings.ContainsRune("BSO", after)
}

// begins reports whether an entity begins at after, whatever the types.
func begins(before, after rune) bool {
	return strings.ContainsRune("BS", after) || strings.ContainsRune("EI", after) && strings.ContainsRune("ESO", before)
}

func strict(tags []string, scheme Scheme) ([]Entity, error) {
	allowed := "BIO"
	if scheme == IOBES {
		allowed = "BIOES"
	}
	prefixes, types := make([]rune, len(tags)), make([]string, len(tags))
	for i, tag := range tags {
		prefix, rest := cutPrefix(tag)
		switch {
		case prefix == 0:
			return nil, errEmptyTag(i)
		case !strings.ContainsRune(allowed, prefix):
			return nil, fmt.Errorf("word %d has the tag %q: the scheme %s has tags that begin with %s", i+1, tag, scheme, strings.Join(strings.Split(allowed, ""), ", "))
		}
		prefixes[i], types[i] = prefix, cmp.Or(strings.Trim(rest, "-"), "_")
	}
	var found []Entity
	for i := 0; i < len(tags); {
		start := i
		i++
		if prefixes[start] != 'B' && prefixes[start] != 'S' {
			continue
		}
		for i < len(tags) && types[i] == types[start] && (prefixes[i-1] == 'B' || prefixes[i-1] == 'I') && (prefixes[i] == 'I' || prefixes[i] == 'E') {
			i++
		}
		if last := prefixes[i-1]; scheme == IOB2 || last == 'S' || last == 'E' {
			found = append(found, Entity{types[start], start, i})
		}
	}
	return found, nil
}

// cutPrefix returns the first letter of a tag, 0 if there is none, and the rest.
func cutPrefix(tag string) (prefix rune, rest string) {
	if tag == "" {
		return 0, ""
	}
	prefix, size := utf8.DecodeRuneInString(tag)
	return prefix, tag[size:]
}

func errEmptyTag(i int) error { return fmt.Errorf("word %d has an empty tag", i+1) }

// Chunked reports whether tags make entities: all but O begin with B-, I-, E- or S-, and there is one such.
func Chunked(tags []string) bool {
	others := slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return tag == "O" })
	return len(others) > 0 && !slices.ContainsFunc(others, func(tag string) bool {
		return len(tag) < 3 || !strings.ContainsRune("BIES", rune(tag[0])) || tag[1] != '-'
	})
}

// EntityScores are precision, recall and F1 of entities: one counts as found if type, first and last word are
// right. A score whose denominator is 0 is 0.
type EntityScores struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
	Support   int     `json:"support"` // gold entities
}

// EntityReport is what seqeval's classification_report has, and the accuracy.
type EntityReport struct {
	EntityScores                         // of all entities ("micro average")
	Accuracy     float64                 `json:"accuracy"` // of the tags of all words
	Macro        EntityScores            `json:"macro"`    // mean of the types
	Weighted     EntityScores            `json:"weighted"` // mean of the types, weighted by their support
	PerType      map[string]EntityScores `json:"per_type"`
}

// entityCounts are what the scores of one type come from.
type entityCounts struct{ hits, gold, pred int }

func (c entityCounts) scores() EntityScores {
	s := EntityScores{Support: c.gold}
	if c.pred > 0 {
		s.Precision = float64(c.hits) / float64(c.pred)
	}
	if c.gold > 0 {
		s.Recall = float64(c.hits) / float64(c.gold)
	}
	if sum := s.Precision + s.Recall; sum > 0 {
		s.F1 = 2 * s.Precision * s.Recall / sum
	}
	return s
}

// add adds the scores of a type to a mean.
func (s *EntityScores) add(o EntityScores, weight float64) {
	s.Precision += weight * o.Precision
	s.Recall += weight * o.Recall
	s.F1 += weight * o.F1
}

// ScoreEntities compares the predicted tags of sentences with the gold ones: gold and pred [sentences][words].
// It is an error if there are no words, if the numbers of sentences or words differ, and where Entities returns one.
func ScoreEntities(gold, pred [][]string, scheme Scheme) (*EntityReport, error) {
	accuracy, err := tagAccuracy(gold, pred)
	if err != nil {
		return nil, err
	}
	types := map[string]*entityCounts{}
	count := func(e Entity) *entityCounts {
		if types[e.Type] == nil {
			types[e.Type] = new(entityCounts)
		}
		return types[e.Type]
	}
	for i := range gold {
		g, err := Entities(gold[i], scheme)
		if err != nil {
			return nil, fmt.Errorf("score: gold, sentence %d: %w", i+1, err)
		}
		p, err := Entities(pred[i], scheme)
		if err != nil {
			return nil, fmt.Errorf("score: predictions, sentence %d: %w", i+1, err)
		}
		for _, e := range g {
			count(e).gold++
		}
		for _, e := range p {
			count(e).pred++
			if k, ok := slices.BinarySearchFunc(g, e, func(a, b Entity) int { return a.Start - b.Start }); ok && g[k] == e {
				count(e).hits++
			}
		}
	}
	report := &EntityReport{Accuracy: accuracy, PerType: map[string]EntityScores{}}
	var all entityCounts
	for _, kind := range slices.Sorted(maps.Keys(types)) {
		c := types[kind]
		report.PerType[kind] = c.scores()
		all = entityCounts{all.hits + c.hits, all.gold + c.gold, all.pred + c.pred}
	}
	report.EntityScores = all.scores()
	report.Macro.Support, report.Weighted.Support = all.gold, all.gold
	for _, kind := range slices.Sorted(maps.Keys(types)) {
		s := report.PerType[kind]
		report.Macro.add(s, 1/float64(len(types)))
		if all.gold > 0 {
			report.Weighted.add(s, float64(s.Support)/float64(all.gold))
		}
	}
	return report, nil
}

// tagAccuracy is the fraction of words whose tag is right.
func tagAccuracy(gold, pred [][]string) (float64, error) {
	if len(gold) != len(pred) {
		return 0, fmt.Errorf("score: %d gold sentences and %d predicted ones", len(gold), len(pred))
	}
	words, right := 0, 0
	for i, tags := range gold {
		if len(tags) != len(pred[i]) {
			return 0, fmt.Errorf("score: sentence %d has %d gold tags and %d predicted ones", i+1, len(tags), len(pred[i]))
		}
		words += len(tags)
		for k, tag := range tags {
			if pred[i][k] == tag {
				right++
			}
		}
	}
	if words == 0 {
		return 0, errors.New("score: no words")
	}
	return float64(right) / float64(words), nil
}

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

// The schemes. All but Lenient are seqeval's strict mode, in which only entities that are well formed count.
const (
	// Lenient reads any mixture of B-, I-, E- and S- tags as conlleval and seqeval's default mode do: an I-x
	// behind something else begins an entity just as B-x does. ScoreEntities reads the letters of BILOU and BMES as
	// those of IOBES first, of which these two know nothing.
	Lenient Scheme = "lenient"
	IOB1    Scheme = "iob1"  // I-x, and B-x where an entity follows one of its type
	IOB2    Scheme = "iob2"  // B-x and the I-x behind it, other I- tags are ignored
	IOE2    Scheme = "ioe2"  // any number of I-x, and E-x
	IOBES   Scheme = "iobes" // S-x, or B-x, any number of I-x, and E-x
	BILOU   Scheme = "bilou" // IOBES with L- and U- for E- and S-
	BMES    Scheme = "bmes"  // IOBES with M- for I-, and perhaps W- for S-
)

// Schemes are the strict ones.
var Schemes = []Scheme{IOB1, IOB2, IOE2, IOBES, BILOU, BMES}

// strictScheme is how entities are made of tags: of the letters of two tags that follow each other, and whether their
// types are the same (=), different (!) or either (*). A letter * is any.
type strictScheme struct {
	letters            string
	start, inside, end []string
}

// The tables are those of seqeval.scheme.
var strictSchemes = map[Scheme]strictScheme{
	IOB1:  {"IOB", []string{"OI*", "II!", "BI*", "IB=", "BB="}, []string{"BI=", "II="}, []string{"II!", "IO*", "IB*", "BO*", "BI!", "BB="}},
	IOB2:  {"BIO", []string{"*B*"}, []string{"BI=", "II="}, []string{"IO*", "II!", "IB*", "BO*", "BI!", "BB*"}},
	IOE2:  {"IOE", []string{"OI*", "OE*", "EI*", "EE*", "II!", "IE!"}, []string{"IE=", "II="}, []string{"E**"}},
	IOBES: {"BIOES", []string{"*B*", "*S*"}, []string{"BI=", "BE=", "II=", "IE="}, []string{"S**", "E**"}},
}

// synonyms are the letters that schemes have in place of those of IOBES.
var synonyms = map[Scheme]map[rune]rune{BILOU: {'L': 'E', 'U': 'S'}, BMES: {'M': 'I', 'W': 'S'}}

// letters of all schemes, and what stands between them and a type.
const (
	letters    = "BIESLUMW"
	separators = "-_"
)

// letterOf returns the letter of a tag that is one, or one and a type; 0 for other tags.
func letterOf(tag string) rune {
	if len(tag) == 1 || len(tag) > 2 && strings.ContainsAny(tag[1:2], separators) {
		if strings.ContainsRune(letters, rune(tag[0])) {
			return rune(tag[0])
		}
	}
	return 0
}

// SchemeOf returns the strict scheme whose letters the tags have.
func SchemeOf(sentences ...[][]string) Scheme {
	has := map[rune]bool{}
	for _, tags := range slices.Concat(sentences...) {
		for _, tag := range tags {
			has[letterOf(tag)] = true
		}
	}
	switch {
	case has['M'] || has['W']:
		return BMES
	case has['L'] || has['U']:
		return BILOU
	case has['S'] || has['B'] && has['E']:
		return IOBES
	case has['E']:
		return IOE2
	case has['I'] && !has['B']:
		return IOB1
	}
	return IOB2
}

// Entity is one entity of a sentence.
type Entity struct {
	Type       string // "protein"; "_" for a tag without a type
	Start, End int    // its words are Start to End-1
}

// Entities returns the entities that the tags of one sentence make, in order. The error is for a tag that is
// empty or that the scheme does not have.
func Entities(tags []string, scheme Scheme) ([]Entity, error) {
	switch {
	case scheme == Lenient:
		return lenient(tags)
	case slices.Contains(Schemes, scheme):
		return strict(tags, scheme)
	}
	var names []string
	for _, s := range Schemes {
		names = append(names, string(s))
	}
	return nil, fmt.Errorf("unknown scheme of tags %q: want %s or %s", string(scheme), Lenient, strings.Join(names, ", "))
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
	rules, ok := strictSchemes[scheme]
	if !ok {
		rules = strictSchemes[IOBES]
	}
	allowed := strings.Map(func(r rune) rune {
		for other, letter := range synonyms[scheme] {
			if letter == r && other != 'W' {
				return other
			}
		}
		return r
	}, rules.letters)
	// The last tag, and the one before the first, is O.
	prefixes, types := make([]rune, len(tags)+1), make([]string, len(tags)+1)
	prefixes[len(tags)], types[len(tags)] = 'O', "_"
	for i, tag := range tags {
		prefix, rest := cutPrefix(tag)
		other, ok := synonyms[scheme][prefix]
		switch {
		case prefix == 0:
			return nil, errEmptyTag(i)
		case !ok && !strings.ContainsRune(allowed, prefix):
			return nil, fmt.Errorf("word %d has the tag %q: the scheme %s has tags that begin with %s", i+1, tag, scheme, strings.Join(strings.Split(allowed, ""), ", "))
		}
		prefixes[i], types[i] = cmp.Or(other, prefix), cmp.Or(strings.Trim(rest, separators), "_")
	}
	follows := func(pairs []string, i int) bool { // reports whether the tag i comes after the one before as one of the pairs says
		before, kind := 'O', "_"
		if i > 0 {
			before, kind = prefixes[i-1], types[i-1]
		}
		return slices.ContainsFunc(pairs, func(pair string) bool {
			return (pair[0] == '*' || rune(pair[0]) == before) && (pair[1] == '*' || rune(pair[1]) == prefixes[i]) &&
				(pair[2] == '*' || (pair[2] == '=') == (kind == types[i]))
		})
	}
	var found []Entity
	for i := 0; i < len(tags); {
		start := i
		if i++; !follows(rules.start, start) {
			continue
		}
		for follows(rules.inside, i) {
			i++
		}
		if follows(rules.end, i) {
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

// Chunked reports whether tags make entities: all but O are a letter of a scheme and a type, as B-x, or all are such
// letters alone, as B, with B or I among them.
func Chunked(tags []string) bool {
	typed, untyped, begins := false, false, false
	for _, tag := range tags {
		if tag == "O" {
			continue
		}
		if letterOf(tag) == 0 {
			return false
		}
		typed, untyped = typed || len(tag) > 1, untyped || len(tag) == 1
		begins = begins || tag == "B" || tag == "I"
	}
	return typed && !untyped || untyped && !typed && begins
}

// EntityScores are precision, recall and F1 of entities, or of a class: an entity counts as found if type, first and
// last word are right. A score whose denominator is 0 is 0.
type EntityScores struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
	Support   int     `json:"support"` // gold ones
}

// EntityReport is what seqeval's classification_report has, and the accuracy.
type EntityReport struct {
	EntityScores                         // of all entities ("micro average")
	Accuracy     float64                 `json:"accuracy"` // of the tags of all words
	Macro        EntityScores            `json:"macro"`    // mean of the types
	Weighted     EntityScores            `json:"weighted"` // mean of the types, weighted by their support
	PerType      map[string]EntityScores `json:"per_type"`
	Predicted    map[string]int          `json:"-"` // entities of each type
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
	if scheme == Lenient {
		if other := synonyms[SchemeOf(gold, pred)]; other != nil {
			gold, pred = translated(gold, other), translated(pred, other)
		}
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
	report := &EntityReport{Accuracy: accuracy, PerType: map[string]EntityScores{}, Predicted: map[string]int{}}
	var all entityCounts
	for _, kind := range slices.Sorted(maps.Keys(types)) {
		c := types[kind]
		report.PerType[kind], report.Predicted[kind] = c.scores(), c.pred
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

// translated is the tags with other letters.
func translated(sentences [][]string, letters map[rune]rune) [][]string {
	out := make([][]string, len(sentences))
	for i, tags := range sentences {
		out[i] = slices.Clone(tags)
		for k, tag := range tags {
			if letter, ok := letters[letterOf(tag)]; ok {
				out[i][k] = string(letter) + tag[1:]
			}
		}
	}
	return out
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

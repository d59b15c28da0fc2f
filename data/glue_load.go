package data

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// load reads the files of a part, which are known in two layouts, looked for in this order:
//
//	SST-2/train.tsv  SST-2/dev.tsv  SST-2/test.tsv               the official download
//	sst2/train-00000-of-00001.parquet  sst2/validation-...       the hub's
//
// MNLI has dev_matched.tsv and dev_mismatched.tsv, validation_matched-... and validation_mismatched-....
// Where a part is in neither form, a file train_subset*.tsv, dev_subset*.tsv, heldout_subset*.tsv (dev) or
// test_subset*.tsv stands in for it, and Notes says so. Notes also tells when MNLI's mismatched set is not there.
func (g glueTask) load(dir string, part Part, s *Splits) error {
	variants := g.variants
	if part == Train || len(variants) == 0 {
		variants = []string{""}
	}
	for i, variant := range variants {
		d, err := g.loadVariant(dir, part, variant, s)
		if i > 0 && errors.Is(err, errNoPart) {
			s.note("%s: no %s set %q in %s: only the %s one is used", g.Name, part, variant, dir, variants[0])
			continue
		}
		if err != nil {
			return err
		}
		s.add(part, d)
	}
	return nil
}

// loadVariant finds and reads one data set.
func (g glueTask) loadVariant(dir string, part Part, variant string, s *Splits) (*Dataset, error) {
	found, err := g.find(dir, part, variant)
	if err != nil {
		return nil, err
	}
	spec := exampleSpec{files: found.files}
	if found.hub {
		spec.text, spec.label.name = columns(g.hubText...), "label"
	} else {
		spec.text, spec.label.name, spec.skipShort = columns(g.text...), g.label, g.skipShort
		if part != Test {
			spec.header = g.header
		}
	}
	spec.label.optional = part == Test
	d, labels, err := readExamples(spec)
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", g.Name, err)
	}
	d.Name, d.Variant = g.Name+"/"+string(part), variant
	if g.Kind == Regression {
		err = d.setValues(labels, func(text string) (float64, error) {
			v, err := floatLabel(text)
			if err != nil || v == NoLabel && part == Test {
				return math.NaN(), err
			}
			if v < 0 || v > 5 {
				return 0, fmt.Errorf("label %s: want 0 to 5", shorten(text))
			}
			return v, nil
		})
	} else {
		err = d.setClasses(s.Task.Labels, labels, func(text string) (int, error) {
			if text == strconv.Itoa(NoLabel) && part == Test {
				return NoLabel, nil
			}
			return classIndex(g.Labels, text)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", g.Name, err)
	}
	if found.subset {
		s.note("%s: %s is read from %s, which is not the whole official set", g.Name, part, found.files[0])
	}
	if n := len(d.Skipped); n > 0 {
		s.note("%s: %d rows left out that are cut off, as the official loaders do (the first is %s)",
			g.Name, n, place(found.files[0], d.Skipped[0]))
	}
	return d, nil
}

// glueFiles is where a data set lies.
type glueFiles struct {
	files  []string
	hub    bool // in the hub's layout
	subset bool
}

// find looks for the files of one data set.
func (g glueTask) find(dir string, part Part, variant string) (glueFiles, error) {
	official, hub := string(part), string(part)
	if part == Dev {
		hub = "validation"
	}
	if variant != "" {
		official += "_" + variant
		hub += "_" + variant
	}
	subsets := []string{official + "_subset*.tsv"}
	if part == Dev && variant == "" {
		subsets = append(subsets, "heldout_subset*.tsv")
	}
	folders := []string{filepath.Join(dir, g.folder), filepath.Join(dir, g.Name), dir}
	for _, folder := range folders {
		file := filepath.Join(folder, official+".tsv")
		if _, err := os.Stat(file); err == nil {
			return glueFiles{files: []string{file}}, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return glueFiles{}, fmt.Errorf("task %s: %w", g.Name, err)
		}
		shards, err := findShards(folder, hub)
		if err != nil {
			return glueFiles{}, fmt.Errorf("task %s: %w", g.Name, err)
		}
		if len(shards) > 0 {
			return glueFiles{files: shards, hub: true}, nil
		}
	}
	for _, folder := range folders {
		files, err := match(folder, subsets...)
		if err != nil {
			return glueFiles{}, fmt.Errorf("task %s: %w", g.Name, err)
		}
		if len(files) > 1 {
			return glueFiles{}, fmt.Errorf("task %s: several files could be the %s set: %s: want one", g.Name, part, strings.Join(files, ", "))
		}
		if len(files) == 1 {
			return glueFiles{files: files, subset: true}, nil
		}
	}
	return glueFiles{}, fmt.Errorf("task %s: %s set %w: looked for %s.tsv, %s-*-of-*.parquet and %s in %s and its folders %s and %s",
		g.Name, part, errNoPart, official, hub, strings.Join(subsets, ", "), dir, g.folder, g.Name)
}

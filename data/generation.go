package data

import (
	"fmt"
	"strings"
)

// stopLoRA ends what is generated where LoRA's code decides: its beam search takes "\n\n" (token 628 of GPT-2) for
// the end of a text, and its gpt2_decode.py cuts there.
const stopLoRA = "\n\n"

// setTargets makes d a generation: the texts are the sources, in the form that source gives them, or as they are
// if it is nil. White space around texts is dropped, as LoRA's code does.
func (d *Dataset) setTargets(targets []cell, source func(text string) (string, error)) error {
	d.Kind = Generation
	for i := range d.Examples {
		ex := &d.Examples[i]
		text := ex.Text
		if source != nil {
			var err error
			if text, err = source(text); err != nil {
				return fmt.Errorf("%s: %w", ex.Where(), err)
			}
		}
		ex.Text, ex.Source = "", strings.TrimSpace(text)
		if ex.Source == "" {
			return fmt.Errorf("%s: the source is empty: want a text", ex.Where())
		}
		if targets == nil || !targets[i].ok {
			continue
		}
		if ex.Target = strings.TrimSpace(targets[i].text); ex.Target == "" {
			return fmt.Errorf("%s: the target is empty: want a text", ex.Where())
		}
	}
	return nil
}

// joinReferences makes one example of all with the same source, in the order in which the sources first appear,
// and references of the targets.
func (d *Dataset) joinReferences() {
	joined := make([]Example, 0, len(d.Examples))
	place := map[string]int{}
	for _, ex := range d.Examples {
		i, ok := place[ex.Source]
		if !ok {
			i = len(joined)
			place[ex.Source] = i
			joined = append(joined, ex)
			joined[i].Target = ""
		}
		if ex.Target != "" {
			joined[i].References = append(joined[i].References, ex.Target)
		}
	}
	d.Examples = joined
}

// readLoRAText reads LoRA's text form of E2E: on every line a source, "||" and its target.
func readLoRAText(file string, b []byte, _ tableSpec, yield yieldRow) error {
	empty := true
	err := lines(b, func(line int, text string) error {
		if text == "" {
			return nil
		}
		if err := checkUTF8(file, line, text); err != nil {
			return err
		}
		parts := strings.Split(text, "||")
		if len(parts) != 2 {
			return fmt.Errorf(`%s: "||" is there %d times: want a source, "||" and a target`, place(file, line), len(parts)-1)
		}
		empty = false
		return yield(line, []cell{{text: parts[0], ok: true}, {text: parts[1], ok: true}})
	})
	if err == nil && empty {
		err = fmt.Errorf("%s: the file is empty", file)
	}
	return err
}

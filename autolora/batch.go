package autolora

import (
	"fmt"

	"autolora/data"
	"autolora/nn"
	"autolora/torchbind"
)

// Batch is a packed batch on the model's device, with its labels.
type Batch struct {
	*nn.Batch
	Labels *torchbind.Tensor // for the model's Loss; nil without labels
	Size   int               // rows of logits: one an example, in tagging one a word
	Weight float64           // of its loss in a mean over batches: Size, or 0 of one that counts for nothing

	packed *data.Batch
	passes int // forward passes that read it
}

// NewBatch copies b to the model's device. Labels must fit the model's head.
func NewBatch(s *torchbind.Scope, model *nn.Model, b *data.Batch) (*Batch, error) {
	packed, err := model.NewBatch(s, b)
	if err != nil {
		return nil, err
	}
	out := &Batch{Batch: packed, Size: b.Len(), packed: b}
	if b.Want != nil {
		out.Size = len(b.Want)
	}
	if !b.Filler {
		out.Weight = float64(out.Size)
	}
	shape := []int64{int64(out.Size)}
	if b.Values != nil {
		out.Labels = torchbind.FromSlice(s, b.Values, shape, model.Device())
		return out, nil
	}
	most := model.Labels()
	if model.Output == nn.MultiLabel {
		most = 2 // 0 and 1, for each of the labels
		if want := out.Size * int(model.Labels()); len(b.Labels) != want {
			return nil, fmt.Errorf("%d labels for %d texts do not fit the head of %d labels", len(b.Labels), out.Size, model.Labels())
		}
	}
	for _, l := range b.Labels {
		if l == data.NoLabel {
			return out, nil
		}
		if l < 0 || l >= most {
			return nil, fmt.Errorf("label %d does not fit the head of %d labels", l, model.Labels())
		}
	}
	out.Labels = model.Targets(s, packed, b.Labels)
	return out, nil
}

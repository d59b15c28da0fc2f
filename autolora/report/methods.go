package report

import (
	"cmp"
	"slices"

	"autolora/autolora/runs"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// reference is the method that the others are compared with.
const reference = runs.MethodAutoLoRA

// methodTune is what a report calls the runs of the command tune, whatever they came to
// train.
const methodTune = "tune"

// methodOf returns what is known of a method; one that is not known goes by
// its own name.
func methodOf(name string) runs.Method {
	if m, ok := runs.FindMethod(name); ok {
		return m
	}
	if name == methodTune {
		return runs.Method{Name: name, Title: "tune", Words: "what tune chose", Colour: "violet", Dash: []float64{7, 3}}
	}
	return runs.Method{Name: name, Title: name, Words: name, Colour: "gray", Dash: []float64{2, 2}}
}

// shadeOf returns the colour of a method.
func shadeOf(m runs.Method) shade {
	return shades[slices.IndexFunc(shades, func(s shade) bool { return s.name == m.Colour })]
}

// strokeOf returns the line of a method's curves; the reference's is the widest.
func strokeOf(name string) draw.LineStyle {
	m := methodOf(name)
	line := stroke(shadeOf(m), 1.6)
	if name == reference {
		line.Width = 2.4
	}
	for _, length := range m.Dash {
		line.Dashes = append(line.Dashes, vg.Length(length))
	}
	return line
}

// learns reports whether a method finds ranks itself.
func learns(m runs.Method) bool { return m.Ranks == runs.Searched || m.Ranks == runs.Allocated }

// byMethod compares methods by their order; unknown ones come last.
func byMethod(a, b string) int {
	place := func(name string) uint { return uint(slices.Index(runs.MethodNames(), name)) } // -1 is the largest
	return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
}

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"autolora/autolora/runs"
)

// heatMap is the ranks of a model as a table: a row for every kind of layer, a
// column for every Transformer block.
type heatMap struct {
	runs.Layout
	layers []runs.LayerRank
	top    int // the highest rank there could be
}

// newHeatMap sorts the layers of r into rows and columns.
func newHeatMap(r runs.Ranks) heatMap {
	return heatMap{runs.NewLayout(r.Names()), r.Layers, slices.Max(append(r.List(), r.K, 1))}
}

// ramp is the colours of low to high ranks, out of the 256 of terminals, each
// with the colour in which a digit on it is easy to read: viridis, from dark
// violet to yellow.
var ramp = []struct{ back, front int }{
	{53, 231}, {54, 231}, {61, 231}, {31, 231}, {30, 231}, {36, 16}, {71, 16}, {113, 16}, {148, 16}, {220, 16},
}

// print draws the table, in bands where the blocks do not fit side by side. A
// layer that is in no block is listed below.
func (h heatMap) print(w *writer, indent string) {
	label := max(len("block"), longest(h.Kinds))
	cell := 2 + len(strconv.Itoa(slices.Max(append([]int{h.top}, h.Blocks...))))
	perBand := max(1, (w.width-len(indent)-label-2)/cell)
	if bands := (len(h.Blocks) + perBand - 1) / perBand; bands > 1 {
		perBand = (len(h.Blocks) + bands - 1) / bands // of equal lengths
	}
	for band := range slices.Chunk(h.Blocks, perBand) {
		line := fmt.Sprintf("%-*s  ", label, "block")
		for _, block := range band {
			line += center(strconv.Itoa(block), cell)
		}
		w.printf("%s%s\n", indent, strings.TrimRight(line, " "))
		for kind, name := range h.Kinds {
			line := fmt.Sprintf("%-*s  ", label, name)
			for _, block := range band {
				line += h.cell(kind, block, cell, w.color)
			}
			w.printf("%s%s\n", indent, strings.TrimRight(line, " "))
		}
	}
	for _, i := range h.Others {
		w.printf("%s%s  %d\n", indent, h.layers[i].Name, h.layers[i].Rank)
	}
}

// cell returns one rank, coloured where the terminal shows colours.
func (h heatMap) cell(kind, block, width int, color bool) string {
	i, ok := h.Layer(kind, block)
	if !ok {
		return center("", width)
	}
	rank := h.layers[i].Rank
	text := center(strconv.Itoa(rank), width)
	if !color {
		return text
	}
	c := ramp[rank*(len(ramp)-1)/h.top]
	return fmt.Sprintf("\x1b[48;5;%dm\x1b[38;5;%dm%s\x1b[0m", c.back, c.front, text)
}

// center puts text in the middle of width columns, to the right if it cannot be.
func center(text string, width int) string {
	left := (width - len(text) + 1) / 2
	return fmt.Sprintf("%-*s", width, strings.Repeat(" ", left)+text)
}

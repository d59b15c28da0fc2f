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
	rows   []string
	blocks []int
	ranks  map[[2]int]int // by row and block
	others []runs.LayerRank
	top    int // the highest rank there could be
}

// newHeatMap sorts the layers of r into rows and columns. A layer whose name
// has no number is in no block, and is listed apart.
func newHeatMap(r runs.Ranks) heatMap {
	h := heatMap{ranks: map[[2]int]int{}, top: max(r.K, 1)}
	for _, l := range r.Layers {
		h.top = max(h.top, l.Rank)
		row, block, ok := splitName(l.Name)
		if !ok {
			h.others = append(h.others, l)
			continue
		}
		at := slices.Index(h.rows, row)
		if at < 0 {
			at = len(h.rows)
			h.rows = append(h.rows, row)
		}
		if !slices.Contains(h.blocks, block) {
			h.blocks = append(h.blocks, block)
		}
		h.ranks[[2]int{at, block}] = l.Rank
	}
	slices.Sort(h.blocks)
	h.rows = shortNames(h.rows)
	return h
}

// splitName splits "bert.encoder.layer.3.attention.self.query" into
// "attention.self.query" and 3.
func splitName(name string) (row string, block int, ok bool) {
	parts := strings.Split(name, ".")
	for i, part := range parts[:len(parts)-1] {
		if n, err := strconv.Atoi(part); err == nil {
			return strings.Join(parts[i+1:], "."), n, true
		}
	}
	return "", 0, false
}

// shortNames keeps the last component of every name, or as many as it takes to
// tell the names apart.
func shortNames(names []string) []string {
	short := make([]string, len(names))
	for i, name := range names {
		for at := len(name); at > 0; {
			at = strings.LastIndex(name[:at], ".")
			short[i] = name[at+1:]
			suffix := "." + short[i]
			same := 0
			for _, other := range names {
				if strings.HasSuffix("."+other, suffix) {
					same++
				}
			}
			if same == 1 {
				break
			}
		}
	}
	return short
}

// ramp is the colours of low to high ranks, out of the 256 of terminals, each
// with the colour in which a digit on it is easy to read: viridis, from dark
// violet to yellow.
var ramp = []struct{ back, front int }{
	{53, 231}, {54, 231}, {61, 231}, {31, 231}, {30, 231}, {36, 16}, {71, 16}, {113, 16}, {148, 16}, {220, 16},
}

// print draws the table, in bands where the blocks do not fit side by side.
func (h heatMap) print(w *writer, indent string) {
	label := len("block")
	for _, row := range h.rows {
		label = max(label, len(row))
	}
	cell := 2 + max(len(strconv.Itoa(h.top)), len(strconv.Itoa(slices.Max(append([]int{0}, h.blocks...)))))
	perBand := max(1, (w.width-len(indent)-label-2)/cell)
	if bands := (len(h.blocks) + perBand - 1) / perBand; bands > 1 {
		perBand = (len(h.blocks) + bands - 1) / bands // of equal lengths
	}
	for band := range slices.Chunk(h.blocks, perBand) {
		line := fmt.Sprintf("%-*s  ", label, "block")
		for _, block := range band {
			line += center(strconv.Itoa(block), cell)
		}
		w.printf("%s%s\n", indent, strings.TrimRight(line, " "))
		for row, name := range h.rows {
			line := fmt.Sprintf("%-*s  ", label, name)
			for _, block := range band {
				rank, ok := h.ranks[[2]int{row, block}]
				line += h.cell(rank, ok, cell, w.color)
			}
			w.printf("%s%s\n", indent, strings.TrimRight(line, " "))
		}
	}
	for _, l := range h.others {
		w.printf("%s%s  %d\n", indent, l.Name, l.Rank)
	}
}

// cell returns one rank, coloured where the terminal shows colours.
func (h heatMap) cell(rank int, ok bool, width int, color bool) string {
	if !ok {
		return center("", width)
	}
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

// Package runs is the folder that a run leaves: the names of its files, what
// they hold, and how they are written and read. It knows no tensors.
package runs

// Package gguf writes LoRA adapters in llama.cpp's files, GGUF version 3. It is pure Go.
//
// The form of the file is that of ggml's docs/gguf.md, and what an adapter has in it
// that of llama.cpp's convert_lora_to_gguf.py and src/llama-adapter.cpp. Go's
// libraries of GGUF read headers only, and a file of two types of values is a
// page: hence our own.
package gguf

import (
	"encoding/binary"
	"io"
	"math"

	"autolora/atomicfile"
	"autolora/nn/safetensors"
)

// entry is a piece of metadata; its value is a string or a float32.
type entry struct {
	key   string
	value any
}

// The types of metadata, and of ggml's tensors.
const (
	typeFloat32, typeString = 6, 8
	version, alignment      = 3, 32
)

var tensorTypes = map[safetensors.DType]uint32{safetensors.F32: 0, safetensors.F16: 1, safetensors.BF16: 30}

// write writes a file at path, in place of one that is there, which holds the old or
// the whole new one.
func write(path string, metadata []entry, tensors []safetensors.Tensor) error {
	b := []byte("GGUF")
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(metadata)))
	for _, e := range metadata {
		b = appendString(b, e.key)
		switch v := e.value.(type) {
		case string:
			b = appendString(binary.LittleEndian.AppendUint32(b, typeString), v)
		case float32:
			b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, typeFloat32), math.Float32bits(v))
		}
	}
	offset := 0
	for _, t := range tensors {
		b = appendString(b, t.Name)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(t.Shape)))
		for i := range t.Shape { // ggml counts dimensions from the innermost
			b = binary.LittleEndian.AppendUint64(b, uint64(t.Shape[len(t.Shape)-1-i]))
		}
		b = binary.LittleEndian.AppendUint32(b, tensorTypes[t.DType])
		b = binary.LittleEndian.AppendUint64(b, uint64(offset))
		offset += len(t.Data) + padding(len(t.Data))
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		for _, part := range append([]safetensors.Tensor{{Data: b}}, tensors...) {
			if _, err := w.Write(part.Data); err != nil {
				return err
			}
			if _, err := w.Write(make([]byte, padding(len(part.Data)))); err != nil {
				return err
			}
		}
		return nil
	})
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// padding is how many bytes follow n of them, so that the next begin aligned.
func padding(n int) int { return (alignment - n%alignment) % alignment }

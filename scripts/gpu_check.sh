#!/usr/bin/env bash
# Checks and times this program on a machine with an NVIDIA GPU; Go is not needed. It uses what scripts/gpu_bundle.sh
# built (make gpu-bundle), writes FOLDER/report.md, and fails unless every part passed on a GPU.
#
# Usage: scripts/gpu_check.sh [--without-gpu] [tests | bench | trace]...   (default: all three)
#
#   tests          every test of the bundle; those for GPUs are called TestCUDA..., and none of them may be skipped
#   bench          scripts/bench_gpu.py: this program beside PEFT and Betty; needs transformers, peft and pyarrow
#   trace          autolora bench --trace and scripts/trace_summary.py; needs transformers, which makes the model
#   --without-gpu  tries the bundle on the CPU, with tiny models; TestCUDA... are skipped then
#
# Environment:
#   BUNDLE       what gpu_bundle.sh wrote (default: the folder above this script if that is one, else out/gpu-check)
#   LIBTORCH     an unpacked libtorch or the folder "torch" of an installed PyTorch; else third_party/lib with CUDA in it,
#                else what PYTHON imports
#   PYTHON       default python3
#   BENCH_FLAGS  more flags for bench_gpu.py, such as --mrpc train.tsv --rounds 1 --models roberta-base
#   TEST_LIMIT, BENCH_LIMIT, TRACE_LIMIT  seconds that a part may take (default 600, 3000, 300)
set -euo pipefail

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
	say "error: $*"
	exit 1
}

GPU=yes
parts=()
for arg in "$@"; do
	case $arg in
	--without-gpu) GPU=no ;;
	tests | bench | trace) parts+=("$arg") ;;
	-h | --help)
		sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0"
		exit
		;;
	*)
		say "unknown argument $arg; see --help"
		exit 2
		;;
	esac
done
((${#parts[@]})) || parts=(tests bench trace)

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [[ -z ${BUNDLE:-} ]]; then
	BUNDLE=$HERE/out/gpu-check
	[[ ! -f $HERE/VERSION ]] || BUNDLE=$HERE
fi
[[ -x $BUNDLE/bin/autolora ]] || die "$BUNDLE has no bundle: run make gpu-bundle on a machine with Go"
BUNDLE=$(cd "$BUNDLE" && pwd)
: "${PYTHON:=python3}" "${TEST_LIMIT:=600}" "${BENCH_LIMIT:=3000}" "${TRACE_LIMIT:=300}"
readonly WANT=2.11.0

# A device first: without one nothing below means anything.
if [[ $GPU == yes ]]; then
	command -v nvidia-smi >/dev/null || die "nvidia-smi is missing: this check needs an NVIDIA GPU and its driver"
	DEVICE=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1) || die "no GPU: nvidia-smi says: ${DEVICE%%$'\n'*}"
	[[ -n $DEVICE ]] || die "no GPU: nvidia-smi lists none"
else
	DEVICE="none (--without-gpu)"
fi

# Then libtorch, and the folders of the CUDA libraries that PyTorch's wheels keep beside it.
from_python() { "$PYTHON" -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])' 2>/dev/null; }
if [[ -n ${LIBTORCH:-} ]]; then
	torch=$LIBTORCH/lib
elif [[ -e $HERE/third_party/lib/libtorch_cuda.so || ($GPU == no && -e $HERE/third_party/lib/libtorch_cpu.so) ]]; then
	torch=$HERE/third_party/lib
elif folder=$(from_python); then
	torch=$folder/lib
else
	die "libtorch $WANT is missing: set LIBTORCH, or PYTHON to one with torch==$WANT, or run scripts/fetch_libtorch.sh --cuda"
fi
[[ -e $torch/libtorch_cpu.so ]] || die "$torch has no libtorch_cpu.so: LIBTORCH is a folder with lib/libtorch_cpu.so"
torch=$(cd "$torch" && pwd)
[[ $GPU == no || -e $torch/libtorch_cuda.so ]] || die "$torch has no libtorch_cuda.so: want libtorch $WANT with CUDA 13"
paths=$BUNDLE/lib:$torch
for folder in "$torch"/../../nvidia/*/lib; do
	[[ ! -d $folder ]] || paths+=:$(cd "$folder" && pwd)
done
export LD_LIBRARY_PATH=$paths${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
version=$("$BUNDLE/bin/autolora" info --json 2>"$BUNDLE/info.log" | tr -d '\n' | grep -o '"libtorch": *"[^"]*"' | cut -d '"' -f 4) || true
[[ $version == "$WANT"* ]] || die "$torch: want libtorch $WANT, got ${version:-$(head -n 1 "$BUNDLE/info.log")}"
rm -f "$BUNDLE/info.log"

passed=yes
failed() {
	passed=no
	say "$*"
}

# run_tests runs every test binary in its package's folder and prints a line of the report for each.
run_tests() {
	local package log ok skipped bad cuda missed
	printf '| package | passed | failed | skipped | of these TestCUDA passed | skipped |\n|---|---|---|---|---|---|\n'
	for package in torchbind nn nn/generate autolora; do
		log=$BUNDLE/$package/test.log
		(cd "$BUNDLE/$package" && timeout "$TEST_LIMIT" ./package.test -test.v -test.timeout 0 >test.log 2>&1) ||
			failed "$package: exit $?, see $log"
		count() { grep -c -E "^ *--- $1: $2" "$log" || true; }
		ok=$(count PASS Test) bad=$(count FAIL Test) skipped=$(count SKIP Test)
		cuda=$(count PASS 'TestCUDA[^/]*( |$)') missed=$(count SKIP 'TestCUDA')
		printf '| %s | %d | %d | %d | %d | %d |\n' "$package" "$ok" "$bad" "$skipped" "$cuda" "$missed"
		((ok > 0)) || failed "$package: no test ran"
		if [[ $GPU == yes ]] && ((missed > 0)); then
			failed "$package: $missed tests for GPUs were skipped:"$'\n'"$(grep -A 2 -E '^ *--- SKIP: TestCUDA' "$log")"
		fi
		cuda_ran=$((cuda_ran + cuda))
	done
	[[ $GPU == no || $cuda_ran -gt 0 ]] || failed "no TestCUDA ran"
}

# What is timed: enough for a table within the limit, or next to nothing to try the script.
bench=("$PYTHON" "$BUNDLE/scripts/bench_gpu.py" --autolora "$BUNDLE/bin/autolora" --sst2 "$BUNDLE/testdata/sst2/train-00000-of-00001.parquet")
[[ ! -f $BUNDLE/testdata/e2e.csv ]] || bench+=(--e2e "$BUNDLE/testdata/e2e.csv")
[[ $GPU == yes ]] || bench+=(--device cpu --models tiny gpt2-tiny --batch-sizes 4 --batches 4 --rounds 1 --dtypes float32 --dropout 0.1)

run_bench() {
	# shellcheck disable=SC2086 # flags are separate words
	timeout "$BENCH_LIMIT" "${bench[@]}" --json "$BUNDLE/bench.json" ${BENCH_FLAGS:-} || failed "bench: exit $?"
}

run_trace() {
	local model=roberta-base device=cuda size=16 work=$BUNDLE/trace
	[[ $GPU == yes ]] || model=tiny device=cpu size=4
	rm -rf "$work" && mkdir -p "$work/model"
	(cd "$BUNDLE/scripts" && timeout "$TRACE_LIMIT" "$PYTHON" - "$model" "$work" "$size" <<-'PYTHON') || failed "trace: no model"
		import sys
		import bench_gpu, peers
		rows = peers.read_rows("../testdata/sst2/train-00000-of-00001.parquet")
		bench_gpu.make_model(sys.argv[1], (r["text"] for r in rows), sys.argv[2] + "/model")
		peers.write_rows(sys.argv[2] + "/batches.jsonl", rows[: 4 * int(sys.argv[3])])
	PYTHON
	for dtype in $([[ $GPU == yes ]] && echo bfloat16) float32; do
		if timeout "$TRACE_LIMIT" "$BUNDLE/bin/autolora" bench --model "$work/model" --input "$work/batches.jsonl" --batch-size "$size" \
			--device "$device" --dtype "$dtype" --dropout 0.1 --trace "$work/$dtype.json" >"$work/$dtype.log" 2>&1; then
			printf '%s, %s:\n\n' "$model" "$dtype"
			"$PYTHON" "$BUNDLE/scripts/trace_summary.py" "$work/$dtype.json" | sed 's/^/    /' || failed "trace: $dtype cannot be read"
		else
			failed "trace: $dtype failed: $(tail -n 1 "$work/$dtype.log")"
		fi
	done
}

cuda_ran=0
report=$BUNDLE/report.md
{
	printf '# GPU check of autolora %s\n\n' "$(<"$BUNDLE/VERSION")"
	# shellcheck disable=SC2016 # these are Markdown's
	printf -- '- device, driver, memory: %s\n- libtorch: %s\n- Python: %s\n- command: `%s %s`\n' "$DEVICE" "$version" \
		"$("$PYTHON" -c 'import sys, importlib.metadata as m; print(sys.version.split()[0], *(p + " " + m.version(p) for p in ("torch", "transformers", "peft")), sep=", ")' 2>/dev/null || echo "without torch, transformers or peft")" \
		"scripts/gpu_check.sh" "$*"
} >"$report.part"
for part in "${parts[@]}"; do
	say "$part"
	printf '\n## %s\n\n' "$part" >>"$report.part"
	"run_$part" > >(tee -a "$report.part")
	wait $! || true
done
printf '\nResult: %s\n' "$([[ $passed == yes ]] && echo passed || echo FAILED)" >>"$report.part"
mv "$report.part" "$report"
say "$report"
[[ $passed == yes ]]

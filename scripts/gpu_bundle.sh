#!/usr/bin/env bash
# Builds what checks this program on a machine with a GPU and without Go: the program, its test binaries with the files
# that they read, and the small libraries that are not part of PyTorch. Needs Go, and no GPU.
#
# Usage: scripts/gpu_bundle.sh [FOLDER]   (default out/gpu-check)
set -euo pipefail

# shellcheck source=scripts/native.sh
. "$(dirname "${BASH_SOURCE[0]}")/native.sh"

takes 0 1 "$@"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly OUT=${1:-out/gpu-check}
readonly PACKAGES=(torchbind nn nn/generate autolora)
VERSION=$(git describe --tags --always --dirty 2>/dev/null || echo unknown)

rm -rf "$OUT.part"
mkdir -p "$OUT.part"/{bin,lib}
go build -ldflags "-s -w -X main.version=$VERSION" -o "$OUT.part/bin/autolora" ./cmd/autolora
for package in "${PACKAGES[@]}"; do
	# A test binary runs in its package's folder and reads ../testdata and the like from there.
	mkdir -p "$OUT.part/$package"
	go test -c -ldflags '-s -w' -o "$OUT.part/$package/package.test" "./$package"
	[[ ! -d $package/testdata ]] || cp -r "$package/testdata" "$OUT.part/$package/"
done
mkdir -p "$OUT.part"/{testdata,scripts}
cp -r testdata/nn testdata/sst2 "$OUT.part/testdata/"
# E2E's texts are not ours to ship; a part of them serves the benchmark where they lie here.
[[ ! -f third_party/data/e2e/trainset.csv ]] || head -n 3000 third_party/data/e2e/trainset.csv >"$OUT.part/testdata/e2e.csv"
cp scripts/{gpu_check.sh,bench_gpu.py,peers.py,trace_summary.py} "$OUT.part/scripts/"
for name in libautolora_torch.so libautolora_cuda.so; do
	[[ ! -e third_party/lib/$name ]] || cp -L "third_party/lib/$name" "$OUT.part/lib/"
done
printf '%s\n' "$VERSION" >"$OUT.part/VERSION"
# The report of an earlier check is kept.
[[ ! -f $OUT/report.md ]] || cp "$OUT/report.md" "$OUT.part/"
rm -rf "$OUT"
mv "$OUT.part" "$OUT"
printf '%s: %d MB\n' "$OUT" "$(du -sm "$OUT" | cut -f 1)" >&2

#!/usr/bin/env bash
# Copies the licences of all that is linked into bin/autolora to a folder: what a binary has to be handed on with. Of the
# Rust crates it takes cargo and what the builds of libtokenizers.a and libchattemplate.a have
# downloaded, or the network.
#
# Usage: scripts/licences.sh DIR
set -euo pipefail

# shellcheck source=scripts/native.sh
. "$(dirname "${BASH_SOURCE[0]}")/native.sh"

takes 1 1 "$@"
DEST=$(realpath -m -- "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# keep NAME FOLDER copies the licences that are in FOLDER to DEST/NAME.
keep() {
	local files
	mapfile -t files < <(find "$2" -maxdepth 1 -type f \( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'unlicense*' \))
	if ((${#files[@]} == 0)); then
		say "$1 has no file of its licence: see its page"
		return
	fi
	mkdir -p "$DEST/$1"
	cp --no-preserve=mode -- "${files[@]}" "$DEST/$1/"
}

mkdir -p "$DEST"
cp LICENSE NOTICE "$DEST/"
for lib in torch_cpu cudart torch_cuda; do # of the wheels, each part with its own
	file=$(realpath -m third_party/lib/lib$lib.so*)
	part=${file%/lib/*}
	if [[ -d $part/licenses ]]; then
		cp -r --no-preserve=mode "$part"/licenses/* "$DEST/"
	elif [[ -e $file ]]; then
		say "${file##*/} has no file of its licence here: $part is from before they were kept; without it make setup fetches it anew"
	fi
done
keep meteor data/metrics/nlg/meteor
keep go "$(go env GOROOT)"
while read -r module dir; do
	keep "go/$module" "$dir"
done < <(go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/autolora | sort -u)

# crates FOLDER prints the names and folders of the crates that a crate needs.
crates() {
	cargo metadata --locked --format-version 1 --filter-platform x86_64-unknown-linux-gnu --manifest-path "$1/Cargo.toml" |
		python3 -c 'import json, os, sys
data = json.load(sys.stdin)
packages = {p["id"]: p for p in data["packages"]}
nodes = {n["id"]: n for n in data["resolve"]["nodes"]}
todo, seen = [data["resolve"]["root"]], set()
while todo:  # without what only tests and benchmarks need
    node = todo.pop()
    if node not in seen:
        seen.add(node)
        todo += [d["pkg"] for d in nodes[node]["deps"] if any(k["kind"] != "dev" for k in d["dep_kinds"])]
for p in sorted((packages[i] for i in seen), key=lambda p: p["name"]):
    if p["source"]:
        print(p["name"] + "-" + p["version"], os.path.dirname(p["manifest_path"]), sep="\t")'
}

while IFS=$'\t' read -r name dir; do
	keep "rust/$name" "$dir"
	[[ $name != onig_sys-* ]] || keep "rust/$name/oniguruma" "$dir/oniguruma"
done < <(crates "$(go list -m -f '{{.Dir}}' github.com/daulet/tokenizers)" && crates data/chattemplate/native)
say "the licences are in $DEST"

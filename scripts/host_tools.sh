#!/usr/bin/env bash
# Installs what the build needs and this machine lacks (a C++ compiler, pip, cargo, Gloo's headers), from Debian's or
# Ubuntu's packages, where it may: as root, with apt-get. Elsewhere it does nothing, and fetch_libtorch.sh then says what
# is missing. Says nothing when nothing is missing.
#
# Usage: scripts/host_tools.sh
set -euo pipefail

# shellcheck source=scripts/native.sh
. "$(dirname "${BASH_SOURCE[0]}")/native.sh"

takes 0 0 "$@"

packages=()
command -v "${CXX:-g++}" >/dev/null || packages+=(g++)
command -v readelf >/dev/null || packages+=(binutils)
command -v git >/dev/null || packages+=(git)
if [[ -z ${LIBTORCH:-} ]] && ! have_pip; then
	packages+=(python3-pip)
fi
# Without Gloo all but runs of several processes works.
printf '#include <gloo/config.h>\n' | "${CXX:-g++}" -x c++ -fsyntax-only - 2>/dev/null || packages+=(libgloo-dev)
cargo=no
[[ -n ${LIBTOKENIZERS:-} ]] || recent_cargo || cargo=yes

if ((${#packages[@]} == 0)) && [[ $cargo == no ]]; then
	exit 0
fi
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
	exit 0
fi

export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -qq -o Dpkg::Use-Pty=0 "$@" >/dev/null; }
say "reading the package lists"
apt update || say "the package lists could not be renewed; going on with the old ones"
if [[ $cargo == yes ]]; then
	# Debian 12 has a recent cargo under another name.
	for name in cargo cargo-web cargo-1.85; do
		version=$(apt-cache policy "$name" | awk '/Candidate:/ { print $2 }')
		if [[ $version =~ ^1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 78)); then
			packages+=("$name")
			break
		fi
	done
fi
((${#packages[@]} > 0)) || exit 0
say "installing ${packages[*]}"
apt install --no-install-recommends -y "${packages[@]}"

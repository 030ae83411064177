#!/usr/bin/env bash
# Makes the Debian package: scripts/deb.sh [--no-build] [--profile NAME] [--out FOLDER]
#
# --no-build packages the program that is there already; --profile dev one that was built for tests.
set -euo pipefail
cd "$(dirname "$0")/.."

build=yes profile=release out=
while [ $# -gt 0 ]; do
    case $1 in
    --no-build) build=no ;;
    --profile) profile=$2 && shift ;;
    --out) out=$2 && shift ;;
    *)
        echo "usage: scripts/deb.sh [--no-build] [--profile NAME] [--out FOLDER]" >&2
        exit 2
        ;;
    esac
    shift
done

. scripts/program.sh
out=${out:-$target/debian}

[ "$build" = no ] || "$cargo" build --locked --profile "$profile" --bin shapegate

# The program, what it makes itself, and Debian's own record of changes.
made=target/packaging program=$folder/shapegate
rm -rf "$made"
mkdir -p "$made/man" "$made/completions" "$out"
strip --strip-unneeded -o "$made/shapegate" "$program"
"$program" man --out "$made/man"
"$program" completions bash >"$made/completions/shapegate"
"$program" completions zsh >"$made/completions/_shapegate"
"$program" completions fish >"$made/completions/shapegate.fish"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
maintainer=$(sed -n 's/^maintainer = "\(.*\)"$/\1/p' Cargo.toml)
printf 'shapegate (%s-1) unstable; urgency=medium\n\n  * changelog.gz has what changed.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" >"$made/changelog"

fast=()
[ "$profile" != dev ] || fast=(--fast)
target/tools/bin/cargo-deb "${fast[@]}" --no-build --locked --no-strip --output "$out"

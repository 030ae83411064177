#!/usr/bin/env bash
# What a release is made of, in target/dist: scripts/dist.sh [--no-build] [--profile NAME] [--sbom-only] [--out FOLDER]
#
# An archive of the program with everything that it is run with, its list of parts (an SBOM in CycloneDX), and
# checksums. --no-build takes the program that is there already; --profile dev one that was built for tests.
set -euo pipefail
cd "$(dirname "$0")/.."

build=yes profile=release sbom_only=no out=
while [ $# -gt 0 ]; do
    case $1 in
    --no-build) build=no ;;
    --profile) profile=$2 && shift ;;
    --sbom-only) sbom_only=yes ;;
    --out) out=$2 && shift ;;
    *)
        echo "usage: scripts/dist.sh [--no-build] [--profile NAME] [--sbom-only] [--out FOLDER]" >&2
        exit 2
        ;;
    esac
    shift
done

. scripts/program.sh
out=${out:-$target/dist}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
host=$(rustc -vV | sed -n 's/^host: //p')

mkdir -p "$out"
sbom=$(cd "$out" && pwd)/shapegate-$version.cdx.json

# What the program is built from, tests and benches left out. cargo-cyclonedx writes beside every manifest.
"$PWD/target/tools/bin/cargo-cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 \
    --no-build-deps --target "$host" --override-filename shapegate-sbom
# Where it was built is nobody's business.
sed "s|$PWD|/build|g" shapegate-sbom.json >"$sbom"
rm -f shapegate-sbom.json core/shapegate-sbom.json origin/shapegate-sbom.json
[ "$sbom_only" = no ] || exit 0

[ "$build" = no ] || "$cargo" build --locked --profile "$profile" --bin shapegate
name=shapegate-$version-$host
made=$out/$name
rm -rf "$made"
install -D -m 755 "$folder/shapegate" "$made/shapegate"
strip --strip-unneeded "$made/shapegate"
mkdir -p "$made/man" "$made/completions"
"$made/shapegate" man --out "$made/man"
for shell in bash zsh fish; do
    "$made/shapegate" completions "$shell" >"$made/completions/shapegate.$shell"
done
cp -R systemd conf docs LICENSE README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md "$made/"
cp "$sbom" "$made/"
tar --directory "$out" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --create "$name" | gzip --no-name >"$out/$name.tar.gz"
rm -rf "$made"
(cd "$out" && sha256sum "$name.tar.gz" "shapegate-$version.cdx.json" >"$name.sha256")

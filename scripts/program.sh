# shellcheck shell=bash disable=SC2034,SC2154
# The program that packages are made of. Sourced by deb.sh and dist.sh, which set `profile`.

cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
folder=$target/$profile
[ "$profile" != dev ] || folder=$target/debug
# The same commit makes the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

#!/usr/bin/env bash
# Makes sure that the tools of a make target are there: scripts/need.sh GROUP...
#
# On Debian and Ubuntu a missing tool is installed (with sudo unless root).
# Elsewhere, and for Rust everywhere, this says what to install and fails:
# nothing is skipped for want of a tool.
set -euo pipefail
cd "$(dirname "$0")/.."

node_major_min=22
# Installed below target/ where the distribution's own Node is older than that.
node_fallback=22.20.0
tools=target/tools

say() { printf 'need: %s\n' "$*" >&2; }
die() {
    say "$@"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# --- packages ---------------------------------------------------------------

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

can_apt() {
    have apt-get && { [ "$(id -u)" = 0 ] || have sudo; }
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" >&2
}

# Installs Debian packages, or says what they are for and stops.
install() { # WHAT PACKAGE...
    local what=$1
    shift
    can_apt || die "missing: $what. Install it with your system's package manager" \
        "(the Debian packages are: $*) and run make again."
    say "installing $* (for $what)"
    apt_get install --no-install-recommends --yes "$@" ||
        { apt_get update && apt_get install --no-install-recommends --yes "$@"; } ||
        die "apt-get could not install $* (for $what)"
}

# The same, for packages that would start daemons: only their programs are wanted,
# now and after the next boot.
install_stopped() { # WHAT PACKAGE...
    local policy=/usr/sbin/policy-rc.d
    if ! can_apt || [ -e "$policy" ]; then
        install "$@"
        return
    fi
    # shellcheck disable=SC2064  # the path is known now
    trap "as_root rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    install "$@"
    as_root rm -f "$policy"
    trap - EXIT
    shift
    disable_units "$@"
}

disable_units() { # PACKAGE...
    local units
    have systemctl || return 0
    mapfile -t units < <(dpkg -L "$@" | sed -n 's|.*/lib/systemd/system/\([^/@]*\.service\)$|\1|p' | sort -u)
    [ ${#units[@]} = 0 ] || as_root systemctl disable --quiet "${units[@]}"
}

# --- Rust -------------------------------------------------------------------

rust_min() { sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml; }

at_least() { # MINIMUM FOUND
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort --version-sort | head -n 1)" = "$1" ]
}

rustup_line() {
    if have rustup; then
        echo "rustup toolchain install stable --profile default && rustup default stable"
    else
        echo "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile default && . \"\$HOME/.cargo/env\""
    fi
}

need_rust() {
    local min found
    min=$(rust_min)
    have cargo || die "cargo is missing: Rust $min or newer is needed. Run: $(rustup_line)"
    found=$(cargo --version | cut -d' ' -f2)
    at_least "$min" "$found" ||
        die "cargo is $found: Rust $min or newer is needed. Run: $(rustup_line)"
}

need_rust_lints() {
    need_rust
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
    have rustup || die "missing: rustfmt and clippy. Install them beside your cargo" \
        "(the Debian packages are: rustfmt rust-clippy) and run make again."
    say "adding rustfmt and clippy to the toolchain"
    rustup component add rustfmt clippy >&2
}

# --- the rest ---------------------------------------------------------------

# aws-lc and jemalloc are C; Pingora's zlib-ng is built by cmake.
need_build() {
    have cc && have c++ && have make && have cmake && have pkg-config && return
    install "a C compiler, make, cmake and pkg-config" build-essential cmake pkg-config
}

node_is_new_enough() {
    have node && node -e "process.exit(parseInt(process.versions.node) >= $node_major_min ? 0 : 1)"
}

node_platform() {
    case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo linux-x64 ;;
    Linux-aarch64) echo linux-arm64 ;;
    *) die "missing: Node.js $node_major_min or newer with npm. See https://nodejs.org/en/download" ;;
    esac
}

need_node() {
    { have npm && have node; } || install "Node.js with npm" nodejs npm
    node_is_new_enough && return
    say "Node.js $(node --version) is too old: fetching $node_fallback into $tools"
    npm install --no-save --no-package-lock --no-audit --no-fund --prefix "$tools" \
        "node@npm:node-$(node_platform)@$node_fallback" >&2
    PATH=$PWD/$tools/node_modules/node/bin:$PATH
    node_is_new_enough ||
        die "Node.js $node_major_min or newer is needed. See https://nodejs.org/en/download"
}

# The servers' own programs lie outside PATH on Debian: initdb stands for all.
need_postgres() {
    have initdb && return
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
    install_stopped "PostgreSQL's programs" postgresql
}

# Valkey does as well: SHAPEGATE_REDIS=valkey-server.
need_redis() {
    have "${SHAPEGATE_REDIS:-redis-server}" || install_stopped "Redis' server" redis-server
}

# The gatekeeper's walkthrough is run as it is written.
need_curl() {
    have curl || install "curl" curl
}

# Judges the unit; nothing of it is started.
need_systemd() {
    have systemd-analyze || install_stopped "systemd-analyze" systemd
}

# What the Debian package is made and tried with. cargo-deb is built once, without optimisation: it only copies.
cargo_deb_version=3.8.0

need_packaging() {
    { have dpkg-deb && have dpkg-shlibdeps && have fakeroot && have strip; } ||
        install "dpkg's tools and fakeroot" dpkg-dev fakeroot binutils
    have systemd-sysusers || install_stopped "systemd-sysusers" systemd
    have deb-systemd-helper || install "deb-systemd-helper" init-system-helpers
    [ "$("$tools/bin/cargo-deb" --version 2>/dev/null)" = "cargo-deb $cargo_deb_version" ] && return
    say "building cargo-deb $cargo_deb_version (once)"
    cargo install --quiet --locked --debug --no-default-features --version "$cargo_deb_version" \
        --root "$tools" --target-dir "$tools/build" cargo-deb >&2
    rm -rf "$tools/build"
}

# Lists what the program is built from.
cargo_cyclonedx_version=0.5.9

need_sbom() {
    { have strip && have sha256sum; } || install "strip and sha256sum" binutils coreutils
    [ "$("$tools/bin/cargo-cyclonedx" cyclonedx --version 2>/dev/null)" = "cargo-cyclonedx-cyclonedx $cargo_cyclonedx_version" ] && return
    say "building cargo-cyclonedx $cargo_cyclonedx_version (once)"
    cargo install --quiet --locked --debug --version "$cargo_cyclonedx_version" \
        --root "$tools" --target-dir "$tools/build" cargo-cyclonedx >&2
    rm -rf "$tools/build"
}

need_shellcheck() {
    have shellcheck || install "shellcheck" shellcheck
}

# Caches before and behind the gateway. Varnish compiles its configuration: its package brings the compiler.
need_caches() {
    local missing=() PATH=$PATH:/usr/sbin:/sbin
    have nginx || missing+=(nginx)
    have varnishd || missing+=(varnish)
    [ ${#missing[@]} = 0 ] || install_stopped "nginx and Varnish" "${missing[@]}"
}

need_bench() {
    local missing=()
    # Debian keeps daemons in /usr/sbin, which a user's PATH may lack.
    local PATH=$PATH:/usr/sbin:/sbin
    have haproxy || missing+=(haproxy)
    have nginx || missing+=(nginx)
    have varnishd || missing+=(varnish)
    have wrk || missing+=(wrk)
    have python3 || missing+=(python3)
    have openssl || missing+=(openssl)
    have perf || missing+=("$(perf_package)")
    [ ${#missing[@]} = 0 ] || install_stopped "the peers and load generators of the benchmarks" "${missing[@]}"
}

perf_package() {
    if grep -qi '^ID=ubuntu' /etc/os-release 2>/dev/null; then
        echo linux-tools-generic
    else
        echo linux-perf
    fi
}

# The engines that the authorisers are tested with, from their sources. Built once and kept: some ten minutes.
opa_version=v1.22.2
openfga_version=v1.22.1
spicedb_version=v1.56.0
# Older ones, from 1.21 on, fetch the toolchain that the sources ask for themselves.
go_min=1.21
# Fetched through the module proxy, which checks it, where the distribution's own Go is older than that.
go_fallback=1.26.8

go_is_new_enough() {
    have go && at_least "$go_min" "$(go env GOVERSION | sed 's/^go//')"
}

go_platform() {
    case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo linux-amd64 ;;
    Linux-aarch64) echo linux-arm64 ;;
    *) die "missing: Go $go_min or newer. See https://go.dev/doc/install" ;;
    esac
}

need_go() {
    have go || install "Go" golang-go
    go_is_new_enough && return
    say "$(go version) is too old: fetching Go $go_fallback into $tools"
    local module modules=$PWD/$tools/go-modules
    module=golang.org/toolchain@v0.0.1-go$go_fallback.$(go_platform)
    GOMODCACHE=$modules GOFLAGS=-modcacherw go mod download "$module" >&2
    # The archives of modules know no permissions.
    chmod +x "$modules/$module"/bin/* "$modules/$module"/pkg/tool/*/*
    PATH=$modules/$module/bin:$PATH
    go_is_new_enough || die "Go $go_min or newer is needed. See https://go.dev/doc/install"
}

# Builds a program of a module within the module itself, as some replace their dependencies.
build_go() { # NAME MODULE VERSION PACKAGE
    local name=$1 module=$2 version=$3 package=$4 folder built=$PWD/$tools/bin
    [ -x "$built/$name-$version" ] || {
        say "building $name $version (once)"
        mkdir -p "$built"
        folder=$(go mod download -json "$module@$version" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
        (cd "$folder" && nice go build -buildvcs=false -trimpath -ldflags="-s -w" -o "$built/$name-$version" "$package") >&2
    }
    ln -sf "$name-$version" "$built/$name"
}

# The OpenTelemetry Collector with what the tests need of it (scripts/otelcol.yaml): its own builder gathers that.
collector_version=v0.165.0

need_collector() {
    local version=${collector_version#v} built=$PWD/$tools/bin made=$PWD/$tools/build/otelcol
    need_go
    grep -q "otlpreceiver $collector_version" scripts/otelcol.yaml ||
        die "scripts/otelcol.yaml is for another collector than $collector_version"
    [ -x "$built/otelcol-$version" ] || {
        say "building the OpenTelemetry Collector $version (once)"
        mkdir -p "$built" "$made"
        GOBIN=$built go install "go.opentelemetry.io/collector/cmd/builder@$collector_version" >&2
        sed "s|OUTPUT|$made|" scripts/otelcol.yaml >"$made.yaml"
        nice "$built/builder" --config "$made.yaml" >&2
        mv "$made/otelcol" "$built/otelcol-$version"
        rm -rf "$made" "$made.yaml" "$built/builder"
    }
    ln -sf "otelcol-$version" "$built/otelcol"
}

need_authorization_servers() {
    need_go
    build_go opa github.com/open-policy-agent/opa "$opa_version" .
    build_go openfga github.com/openfga/openfga "$openfga_version" ./cmd/openfga
    build_go spicedb github.com/authzed/spicedb "$spicedb_version" ./cmd/spicedb
}

[ $# -gt 0 ] || die "usage: scripts/need.sh rust|rust_lints|build|curl|node|postgres|caches|redis|systemd|packaging|sbom|shellcheck|bench|authorization_servers|collector ..."
for group in "$@"; do
    case $group in
    rust | rust_lints | build | curl | node | postgres | caches | redis | systemd | packaging | sbom | shellcheck | bench | authorization_servers | collector) "need_$group" ;;
    *) die "no such group: $group" ;;
    esac
done

# shellcheck shell=bash disable=SC2154
# What is measured, and how it is started and ended. Sourced by benches/run, which sets `work` and `secret`.

declare -A pids=() port=()
names=(ELECTRIC HAPROXY_HS256 HAPROXY_H2 HAPROXY_RS256 HAPROXY_ES256 NODE SHAPEGATE SHAPEGATE_ADMIN NGINX_CACHE VARNISH)

say() { printf 'bench: %s\n' "$*" >&2; }
die() {
    say "$@"
    exit 1
}

end() { # NAME...
    local name
    for name in "$@"; do
        kill "${pids[$name]}" 2>/dev/null || true
        wait "${pids[$name]}" 2>/dev/null || true
        unset "pids[$name]"
    done
}

start() { # NAME CORES PORT COMMAND...
    local name=$1 on=$2 listens=$3
    shift 3
    taskset -c "$on" "$@" >"$work/$name.log" 2>&1 &
    pids[$name]=$!
    for _ in $(seq 100); do
        (: <"/dev/tcp/127.0.0.1/$listens") 2>/dev/null && return
        kill -0 "${pids[$name]}" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/$name.log" >&2
    die "$name did not come up"
}

# The process that does the work: Varnish's is a child of the one that was started.
workers() { # NAME
    pgrep -d, -P "${pids[$1]}" || echo "${pids[$1]}"
}

free_ports() { # Draws a port for each name.
    local drawn at
    mapfile -t drawn < <(python3 -c '
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(each.getsockname()[1] for each in sockets), sep="\n")' ${#names[@]})
    for at in "${!names[@]}"; do port[${names[at]}]=${drawn[at]}; done
}

render() { # FILE: a copy of benches/peers/FILE with ports, folder and secret filled in
    local name edits=(-e "s|@WORK@|$work|g" -e "s|@SECRET@|$secret|g")
    for name in "${names[@]}"; do edits+=(-e "s|@$name@|${port[$name]}|g"); done
    sed "${edits[@]}" "benches/peers/$1" >"$work/$1"
}

rules() { # COUNT EXPRESSION: rules that do not apply, of which each compares EXPRESSION with something else
    local at
    for at in $(seq "$1"); do
        printf "      - { when: 'has(%s) && %s == \"none_%s\"', rows: none }\n" "$2" "$2" "$at"
    done
}

# What HTTP/2 is spoken with: a certificate, its key, and both in one file.
make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout "$work/tls.key" -out "$work/tls.crt"
    cat "$work/tls.crt" "$work/tls.key" >"$work/tls.pem"
}

start_electric() {
    render electric.conf
    start electric "$load_cores" "${port[ELECTRIC]}" nginx -c "$work/electric.conf"
}

start_haproxy() {
    render haproxy.cfg
    start haproxy "$peer_core" "${port[HAPROXY_HS256]}" haproxy -db -f "$work/haproxy.cfg"
}

start_node() {
    start node "$peer_core" "${port[NODE]}" \
        node benches/peers/route-handler.js "${port[NODE]}" "${port[ELECTRIC]}" "$secret"
}

start_shapegate() { # [TLS]: what the server does besides listening
    local count
    for count in 1 63; do
        rules "$count" user.org_id >"$work/remembered-$count"
        rules "$count" 'request.headers.host' >"$work/anew-$count"
    done
    render shapegate.yaml
    sed -i "s|^server: {|& ${1:-}|" "$work/shapegate.yaml"
    # A line `#include FILE` of the configuration is that file.
    sed -i -E "s|^#include (.*)|cat $work/\1|e" "$work/shapegate.yaml"
    start shapegate "$peer_core" "${port[SHAPEGATE]}" "$shapegate" serve -c "$work/shapegate.yaml"
}

start_nginx_cache() {
    render nginx-cache.conf
    start nginx_cache "$peer_core" "${port[NGINX_CACHE]}" nginx -c "$work/nginx-cache.conf"
}

start_varnish() {
    render varnish.vcl
    start varnish "$peer_core" "${port[VARNISH]}" varnishd -F -j none -n "$work/varnish" -f "$work/varnish.vcl" \
        -a "127.0.0.1:${port[VARNISH]}" -s malloc,256m
}

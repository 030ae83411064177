# shellcheck shell=bash disable=SC2154
# Requests a second, held polls, one change for many, an issuer in trouble. Sourced by benches/run.

position='offset=-1&log=full'
live='live=true&handle=123-456'
plain="/v1/shape?table=users&$position"

status() { # PORT TARGET [TOKEN]
    local line
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf 'GET %s HTTP/1.1\r\nhost: localhost\r\n%sconnection: close\r\n\r\n' "$2" \
        "${3:+authorization: Bearer $3$'\r\n'}" >&3
    read -r -t 10 line <&3
    exec 3<&-
    cut -d' ' -f2 <<<"$line"
}

# Peers that do not refuse what they should would be fast for the wrong reason.
check() { # LABEL PORT TARGET ALG
    local token forged
    token=$(<"$work/$4.token")
    # The last character of a signature may carry no bits.
    forged="${token:0:-9}$([ "${token: -9:1}" = A ] && echo B || echo A)${token: -8}"
    [ "$(status "$2" "$3" "$token")" = 200 ] || die "$1 does not accept its token"
    [ "$(status "$2" "$3")" = 401 ] || die "$1 does not ask for a token"
    [ "$(status "$2" "$3" "$forged")" = 401 ] || die "$1 accepts a forged token"
}

ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

load() { # SECONDS PORT TARGET ALG [SCRIPT [TOKENS]]
    TOKENS=${6:+$work/$6.tokens} taskset -c "$load_cores" wrk -t1 -c"$connections" -d"$1" ${5:+-s "benches/load/$5.lua"} \
        -H "authorization: Bearer $(<"$work/$4.token")" "http://127.0.0.1:$2$3"
}

measure() { # ROUND LABEL PROCESS PORT TARGET ALG [SCRIPT [TOKENS]]: appends requests and ticks of CPU to the results
    local round=$1 label=$2 process=$3 before after out
    shift 3
    load 1 "$@" >/dev/null
    before=$(ticks "${pids[$process]}")
    out=$(load "$seconds" "$@")
    after=$(ticks "${pids[$process]}")
    ! grep -q 'Non-2xx\|Socket errors' <<<"$out" || die "$label: $(grep 'Non-2xx\|Socket errors' <<<"$out")"
    awk -v round="$round" -v label="$label" -v ticks=$((after - before)) -v OFS='\t' \
        '/requests in/ { print round, label, $1, ticks }' <<<"$out" >>"$work/requests"
    say "round $round: $label: $(tail -n 1 "$work/requests" | awk -v hertz="$(getconf CLK_TCK)" \
        '{ printf "%.1f us CPU a request", $NF / hertz / $(NF - 1) * 1e6 }')"
}

ours() { # ROUND LABEL ROUTE ALG [SCRIPT [TOKENS]]
    local round=$1 label=$2 route=$3
    shift 3
    measure "$round" "$label" shapegate "${port[SHAPEGATE]}" "/api/shapes/$route?$position" "$@"
}

# Peers and gateway in turn, so that a round is a comparison by itself.
measure_peers() { # ROUND
    local alg
    measure "$1" upstream electric "${port[ELECTRIC]}" "$plain" hs256
    measure "$1" haproxy_hs256 haproxy "${port[HAPROXY_HS256]}" "$plain" hs256
    ours "$1" shapegate_hs256 users hs256
    ours "$1" shapegate_open open_users hs256
    ours "$1" shapegate_hit hub_users hs256
    measure "$1" shapegate_miss shapegate "${port[SHAPEGATE]}" \
        "/api/shapes/hub_users?offset=@OFFSET@&handle=123-456" hs256 misses
    measure "$1" node_hs256 node "${port[NODE]}" "$plain" hs256
    for alg in rs256 es256; do
        measure "$1" "haproxy_$alg" haproxy "${port[HAPROXY_${alg^^}]}" "$plain" "$alg"
        ours "$1" "shapegate_$alg" users "$alg"
    done
}

# Many tokens and many rules, beside one.
measure_scale() { # ROUND
    ours "$1" tokens_1 hub_users hs256 distinct one
    ours "$1" tokens_many hub_users hs256 distinct many
    ours "$1" remembered_1 remembered_1 hs256
    ours "$1" remembered_63 remembered_63 hs256
    ours "$1" anew_1 anew_1 hs256
    ours "$1" anew_63 anew_63 hs256
}

measure_requests() {
    local alg round
    check HAProxy "${port[HAPROXY_HS256]}" "$plain" hs256
    check "the route handler" "${port[NODE]}" "$plain" hs256
    for alg in hs256 rs256 es256; do
        check shapegate "${port[SHAPEGATE]}" "/api/shapes/users?$position" "$alg"
        check "the hub" "${port[SHAPEGATE]}" "/api/shapes/hub_users?$position" "$alg"
    done
    for round in $(seq "$rounds"); do
        measure_peers "$round"
        measure_scale "$round"
    done
}

hold() { # LABEL PROCESS PORT TARGET [LOAD...]
    local load=("${@:5}")
    [ ${#load[@]} -gt 0 ] || load=(python3 benches/load/hold.py)
    "${load[@]}" "$3" "${port[ELECTRIC]}" "$held" "$(workers "$2")" "$4" "$work/hs256.token" |
        sed "s/^/$1\t/" >>"$work/held"
    say "held: $(tail -n 1 "$work/held")"
}

fan() { # LABEL PROCESS PORT TARGET CLIENTS
    taskset -c "$fan_cores" python3 benches/load/fan.py "$3" "${port[ELECTRIC]}" "$5" "$(workers "$2")" "$4" \
        "$work/hs256.token" >"$work/fan.now" || die "$1: fan-out to $5 clients failed"
    sed "s/^/$1\t/" "$work/fan.now" >>"$work/fan"
    say "fan-out: $(tail -n 1 "$work/fan")"
}

# The client of these is also the upstream, because it knows when to answer.
measure_memory() {
    free_ports
    start_haproxy
    hold haproxy haproxy "${port[HAPROXY_HS256]}" "/v1/shape?table=users&$live"
    end haproxy
    # Anew, as it would use once more what it has given to the others.
    start_haproxy
    hold haproxy_h2 haproxy "${port[HAPROXY_H2]}" "/v1/shape?table=users&$live" node benches/load/hold2.js
    end haproxy
    start_node
    hold node node "${port[NODE]}" "/v1/shape?$live"
    end node
    start_shapegate
    hold shapegate shapegate "${port[SHAPEGATE]}" "/api/shapes/hub_users?$live"
    end shapegate
    start_shapegate "tls: { certificates: [ { certificate: $work/tls.crt, key: $work/tls.key } ] },"
    hold shapegate_h2 shapegate "${port[SHAPEGATE]}" "/api/shapes/hub_users?$live" node benches/load/hold2.js
    end shapegate
}

measure_fan() {
    local clients url
    for clients in $fans; do
        free_ports
        url="$live&offset=0_0&cursor=$clients"
        start_varnish
        fan varnish varnish "${port[VARNISH]}" "/v1/shape?table=users&$url" "$clients"
        end varnish
        start_nginx_cache
        fan nginx nginx_cache "${port[NGINX_CACHE]}" "/v1/shape?table=users&$url" "$clients"
        end nginx_cache
        start_shapegate
        fan shapegate shapegate "${port[SHAPEGATE]}" "/api/shapes/hub_users?$url" "$clients"
        end shapegate
    done
}

# The gateway alone, with one tenant and with many.
measure_tenants() {
    local count
    for count in $tenants; do
        free_ports
        start_electric
        taskset -c "$fan_cores" python3 benches/load/tenants.py "$shapegate" "$work/tenants-$count" \
            "${port[SHAPEGATE]}" "${port[SHAPEGATE_ADMIN]}" "${port[ELECTRIC]}" "$count" 20 "$seconds" "$peer_core" \
            "$work/hs256.token" >>"$work/tenants" || die "$count tenants failed"
        say "tenants: $(tail -n 1 "$work/tenants")"
        end electric
    done
}

# The gateway alone, with an issuer whose keys are asked for over and over, well or in trouble.
measure_provider() {
    local round
    free_ports
    start_electric
    for round in $(seq "$rounds"); do
        taskset -c "$fan_cores" python3 benches/load/provider.py "$shapegate" "$work/provider-$round" \
            "${port[SHAPEGATE]}" "${port[SHAPEGATE_ADMIN]}" "${port[ELECTRIC]}" "$((seconds + 5))" "$peer_core" "$fan_cores" \
            "$others" "$work" >"$work/provider.now" || die "an issuer in trouble: failed"
        sed "s/^/$round\t/" "$work/provider.now" >>"$work/provider"
        say "provider: round $round: $(tr '\n' ';' <"$work/provider.now")"
    done
    end electric
}

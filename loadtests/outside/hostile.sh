#!/usr/bin/env bash
# hostile.sh MUSTER MUSTER_HOSTILE [FLOOR]: the hostile suites against a muster, in a network
# namespace of its own: what clients may send and what nodes may answer, through both engines and to
# clients of HTTP/2, and 100,000 generated requests through the one and the other. FLOOR, a bare Pingora proxy
# (pg-floor), stands beside them: the suites must find faults in it. MUSTER and MUSTER_HOSTILE are
# programs; MUSTER_REQUESTS and MUSTER_SEED say which requests are generated. Prints what is not
# right in muster, and all sums; fails where muster has a fault, but for the answers that its
# Pingora reads more leniently than its own engine.
set -eu
muster=$(realpath "$1") hostile=$(realpath "$2") floor=${3:+$(realpath "$3")}
. "$(dirname "$(readlink -f "$0")")/muster.sh"
if [ "${4-}" != inside ]; then exec unshare -n -- "$0" "$muster" "$hostile" "$floor" inside; fi
work=$(mktemp -d); trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$work"' EXIT
# Every answer takes a port of its own for a minute.
sysctl -qw net.ipv4.tcp_tw_reuse=1 net.ipv4.ip_local_port_range="10000 65000"
node=127.0.0.1:9000
declare -A at=([muster]=127.0.0.1:8001 [pingora]=127.0.0.1:8002 [floor]=127.0.0.1:8003)
for engine in muster pingora; do
  serve_muster "$muster" "$work/$engine.toml" $node "[http]
listen = [\"${at[$engine]}\"]
engine = \"$engine\"
body_limit = 1048576
[upstream]
read_timeout = \"1s\"
total_timeout = \"3s\""
done
proxies="muster pingora"
if [ -n "$floor" ]; then
  echo "$node a" >"$work/nodes"
  "$floor" --listen "${at[floor]}" --upstreams "$work/nodes" --threads 1 >"$work/floor.log" 2>&1 &
  proxies="$proxies floor"
fi

code=0
# judge PROXY SUITE OPTION...: what is not right, but of the floor, and the sum.
judge() {
  local proxy=$1 suite=$2 told=$work/told
  shift 2
  if ! "$hostile" "${at[$proxy]}" $node "$suite" "$@" >"$told" 2>&1; then
    case $proxy-$suite in
      floor-*) sed -i '$!d' "$told" ;;
      # Pingora takes some broken answers for good ones before anybody else sees them.
      pingora-answers) ;;
      *) code=1 ;;
    esac
  fi
  sed "s/^/$proxy: /" "$told"
}
for proxy in $proxies; do
  judge "$proxy" vectors
  judge "$proxy" answers
done
judge muster answers --http2
judge muster differential --other "${at[pingora]}" --count "${MUSTER_REQUESTS:-100000}" \
  --seed "${MUSTER_SEED:-1}"
exit $code

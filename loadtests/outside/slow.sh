#!/usr/bin/env bash
# slow.sh MUSTER: 600 slow-header and 600 slow-body clients of slowhttptest against a muster
# with its shipped limits, each in a network namespace of its own, with an honest probe twice a
# second beside them. Prints for each how many were cut within 15 s, and how many probes failed.
# MUSTER is the balancer's program.
set -eu
muster=$(realpath "$1")
. "$(dirname "$(readlink -f "$0")")/muster.sh"
if [ "${2-}" != inside ]; then
  for kind in -H -B; do unshare -n -- "$0" "$muster" inside "$kind"; done
  exit
fi
kind=$3
work=$(mktemp -d); trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
serve_muster "$muster" muster.toml 127.0.0.1:9000
python3 -m http.server --bind 127.0.0.1 9000 >node 2>&1 &
until curl -fs -o /dev/null http://127.0.0.1:8000/; do sleep 0.1; done
probe() {
  local end=$((SECONDS + 15))
  while [ $SECONDS -lt $end ]; do
    curl -fs -m 5 -o /dev/null http://127.0.0.1:8000/ && echo good || echo bad
    sleep 0.5
  done
}
probe >"$work/probes" &
probing=$!
# 600 clients at once, a header or some bytes of body every 5 s, watched for 15 s.
slowhttptest "$kind" -c 600 -r 600 -i 5 -x 10 -s 1000000 -l 15 -p 5 -u http://127.0.0.1:8000/ \
  >"$work/slow" 2>&1 || true
wait $probing
text=$(sed 's/\x1b\[[0-9;]*[A-Za-z]//g' "$work/slow")
case "$text" in
  # It ends early when nobody is left.
  *"No open connections left"*) closed=600 ;;
  *) closed=$(sed -n 's/^closed: *\([0-9]*\).*/\1/p' <<<"$text" | tail -n 1) ;;
esac
echo "slowhttptest $kind: ${closed:-0} of 600 cut, $(grep -c good "$work/probes") probes good," \
  "$(grep -c bad "$work/probes") failed"

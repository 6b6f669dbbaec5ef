#!/usr/bin/env bash
# websocket.sh MUSTER FOLDER: Autobahn's WebSocket cases (PyPI's kosoku), without those of
# compression, against an echo server, direct and through a muster with its shipped limits, in a
# network namespace of its own. FOLDER keeps the programs and the reports. Fails where a case
# passes the one way and fails the other. Some 4 minutes.
set -eu
muster=$(realpath "$1") here=$(dirname "$(readlink -f "$0")")
. "$here/muster.sh"
mkdir -p "$2" && folder=$(realpath "$2")
if [ "${3-}" != inside ]; then
  [ -x "$folder/bin/kosoku" ] || { python3 -m venv "$folder" && "$folder/bin/pip" -q install kosoku websockets; }
  exec unshare -n -- "$0" "$muster" "$folder" inside
fi
cd "$folder"
trap 'kill $(jobs -p) 2>/dev/null' EXIT
serve_muster "$muster" muster.toml 127.0.0.1:9101
bin/python "$here/echo.py" 9101 2>echo.log &
for port in 9101 8000; do
  until (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; do sleep 0.1; done
done
for run in direct:9101 through:8000; do
  bin/kosoku -p 4 -x '12.*' -x '13.*' -o "${run%:*}" "127.0.0.1:${run#*:}" >"${run%:*}.log" 2>&1 || true
done
bin/python - <<'P'
import json, sys

def verdicts(name):
    cases = next(iter(json.load(open(f"{name}/index.json")).values()))
    return {case: (passes(told["behavior"]), passes(told.get("behaviorClose", "OK"))) for case, told in cases.items()}

def passes(word):
    # In 4.2.4 the close of the peer races with its answer: the word is the one or the other.
    return word in ("OK", "NON-STRICT", "INFORMATIONAL")

direct, through = verdicts("direct"), verdicts("through")
other = {case: (direct.get(case), told) for case, told in through.items() if direct.get(case) != told}
passed = sum(all(told) for told in through.values())
print(f"{len(through)} WebSocket cases, {passed} pass; passing or failing otherwise than direct: {len(other)} {other or ''}")
sys.exit(bool(other) or len(direct) != len(through))
P

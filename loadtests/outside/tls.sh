#!/usr/bin/env bash
# tls.sh h2spec|testssl MUSTER FOLDER: an outside judge of HTTP/2 (h2spec --strict, over TLS and
# over h2c) or of TLS (testssl.sh) asks a muster with its shipped limits, in a network namespace of
# its own. FOLDER keeps the programs, a certificate and the reports.
set -eu
judge=$1 muster=$(realpath "$2")
. "$(dirname "$(readlink -f "$0")")/muster.sh"
mkdir -p "$3" && folder=$(realpath "$3")
if [ "${4-}" != inside ]; then
  if [ "$judge" = h2spec ] && [ ! -x "$folder/bin/h2spec" ]; then
    GOBIN=$folder/bin GOPATH=$folder/go go install github.com/summerwind/h2spec/cmd/h2spec@latest
  fi
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$folder/key.pem" \
    -out "$folder/cert.pem" 2>/dev/null
  exec unshare -n -- "$0" "$judge" "$muster" "$folder" inside
fi
cd "$folder"
trap 'kill $(jobs -p) 2>/dev/null' EXIT
serve_muster "$muster" muster.toml 127.0.0.1:9000 "[tls]
listen = [\"127.0.0.1:8443\"]
certificates = [{ chain = \"$folder/cert.pem\", key = \"$folder/key.pem\" }]"
mkdir -p site && echo hello >site/index.html
(cd site && exec python3 -m http.server --bind 127.0.0.1 9000) >node.log 2>&1 &
until curl -fsk -o /dev/null https://127.0.0.1:8443/; do sleep 0.1; done
case $judge in
  h2spec)
    bin/h2spec --strict -t -k -h 127.0.0.1 -p 8443 -o 5 >h2.txt 2>&1 || true
    bin/h2spec --strict -h 127.0.0.1 -p 8000 -o 5 >h2c.txt 2>&1 || true
    for run in h2 h2c; do
      echo "h2spec --strict over $run: $(grep -o '[0-9]* tests, .*' "$run.txt" | tail -n 1)"
      sed -n '/^Failures:/,$p' "$run.txt"
    done ;;
  testssl)
    rm -f testssl.json
    testssl --quiet --color 0 --severity LOW --jsonfile testssl.json 127.0.0.1:8443 >testssl.txt 2>&1 || true
    python3 - <<'P'
import collections, json
found = json.load(open("testssl.json"))
print("testssl.sh:", dict(collections.Counter(f["severity"] for f in found)))
for f in found:
    print(f["severity"], f["id"], f["finding"][:100])
P
    ;;
esac

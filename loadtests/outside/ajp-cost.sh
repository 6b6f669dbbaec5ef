#!/usr/bin/env bash
# ajp-cost.sh MUSTER WORKER [ROUNDS]: what a request costs muster over AJP and over HTTP, to the
# two connectors of one Tomcat, in turns. MUSTER is the balancer's program, WORKER the folder of
# the prepared Tomcat (as TOMCAT_WORKER). Prints CPU microseconds a request and the ratio; needs
# java and h2load. In a network namespace of its own, some 2 minutes.
set -eu
muster=$(realpath "$1") worker=$(realpath "$2") rounds=${3:-30}
if [ "${4-}" != inside ]; then exec unshare -n -- "$0" "$muster" "$worker" "$rounds" inside; fi
work=$(mktemp -d); trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$work"' EXIT
ip link set lo up
base=$work/tomcat; mkdir -p "$base"/{conf,logs,temp,webapps,work}
cp "$worker"/tomcat7/conf/{web.xml,logging.properties,catalina.properties} "$base/conf/"
cp "$worker/app/counter.war" "$base/webapps/"
cat >"$base/conf/server.xml" <<T
<Server port="-1" shutdown="SHUTDOWN"><Service name="Catalina">
<Connector port="9001" address="127.0.0.1" protocol="AJP/1.3" secretRequired="false"/>
<Connector port="9002" address="127.0.0.1" protocol="HTTP/1.1" maxKeepAliveRequests="-1"/>
<Engine name="Catalina" defaultHost="localhost" jvmRoute="a">
<Host name="localhost" appBase="webapps" unpackWARs="true"/></Engine></Service></Server>
T
java -Xmx256m -XX:+UseSerialGC --add-opens=java.base/java.lang=ALL-UNNAMED \
  --add-opens=java.base/java.io=ALL-UNNAMED --add-opens=java.rmi/sun.rmi.transport=ALL-UNNAMED \
  -Dcatalina.home="$worker/tomcat7" -Dcatalina.base="$base" -Djava.io.tmpdir="$base/temp" \
  -cp "$worker/tomcat7/bin/bootstrap.jar:$worker/tomcat7/bin/tomcat-juli.jar" \
  org.apache.catalina.startup.Bootstrap start >"$work/tomcat.log" 2>&1 &

declare -A pid port=([ajp]=8001 [http]=8002) node=([ajp]=9001 [http]=9002)
for scheme in ajp http; do
  cat >"$work/$scheme.toml" <<T
threads = 1
http = { listen = ["127.0.0.1:${port[$scheme]}"] }
mcmp = { listen = [] }
manager = { listen = [] }
node = [{ route = "a", url = "$scheme://127.0.0.1:${node[$scheme]}" }]
T
  "$muster" run -c "$work/$scheme.toml" >"$work/$scheme.log" 2>&1 &
  pid[$scheme]=$!
done
for scheme in ajp http; do
  until curl -fs "http://127.0.0.1:${port[$scheme]}/counter/?nosession=1" >/dev/null; do sleep 0.3; done
done

# Nanoseconds on the processor, of all threads.
used() { cat "/proc/${pid[$1]}/task/"*/schedstat | awk '{ n += $1 } END { printf "%.0f\n", n }'; }
for path in '/counter/?nosession=1 4000' '/counter/?nosession=1&bytes=65536 1000'; do
  read -r path count <<<"$path"
  declare -A sum=([ajp]=0 [http]=0)
  # The first rounds warm Tomcat up.
  for round in $(seq -4 "$rounds"); do
    # Each goes first in every other round.
    order="ajp http"; if [ $((round % 2)) -eq 0 ]; then order="http ajp"; fi
    for scheme in $order; do
      before=$(used $scheme)
      h2load --h1 -c 16 -n "$count" "http://127.0.0.1:${port[$scheme]}$path" >"$work/load" 2>&1
      grep -q " $count succeeded, 0 failed" "$work/load" || { cat "$work/load"; exit 1; }
      if [ "$round" -gt 0 ]; then sum[$scheme]=$((sum[$scheme] + $(used $scheme) - before)); fi
    done
  done
  awk -v a="${sum[ajp]}" -v h="${sum[http]}" -v n=$((count * rounds)) -v p="$path" \
    'BEGIN { printf "%s: ajp %.1f us, http %.1f us, ratio %.2f\n", p, a/n/1e3, h/n/1e3, a/h }'
done

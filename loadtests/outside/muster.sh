# For the other scripts here, in a network namespace of their own.
# serve_muster MUSTER FILE NODE [LINES]: loopback is up, and a muster with its shipped limits, no
# access log and one node at the address NODE runs in the background with the configuration FILE,
# which it writes; LINES are more of it, before the node's.
serve_muster() {
  ip link set lo up
  {
    [ -z "${4-}" ] || echo "$4"
    cat <<T
[mcmp]
listen = []
[manager]
listen = []
[log]
access = "off"
[[node]]
route = "a"
url = "http://$3"
T
  } >"$2"
  "$1" run -c "$2" >"${2%.toml}.log" 2>&1 &
}

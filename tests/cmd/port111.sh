#!/bin/bash
# port111.sh PAILFS: clients find the ports. Without rpcbind pailfs answers on port 111 itself; with
# rpcbind it registers there, replaces what a killed pailfs left, leaves another server's entries
# alone, and takes its own back when it ends. Needs a network namespace; exit 77 = not allowed here.
set -u
pailfs=$1
if [ -z "${PORT111_INSIDE:-}" ]; then
    unshare --net --mount true 2>/dev/null || { echo "SKIP: no network namespaces here"; exit 77; }
    for program in rpcinfo showmount rpcbind; do
        PATH=$PATH:/usr/sbin:/sbin command -v $program >/dev/null || { echo "SKIP: no $program"; exit 77; }
    done
    PORT111_INSIDE=yes exec unshare --net --mount --kill-child --fork "$0" "$@"
fi
PATH=$PATH:/usr/sbin:/sbin
ip link set lo up
mount --make-rprivate /
mount -t tmpfs none /run # rpcbind's socket and lock
mkdir -p /run/rpcbind

work=$(mktemp -d)
failures=0
started= rpcbind=
cleanup() {
    [ -z "$started" ] || kill -KILL "$started" 2>/dev/null
    [ -z "$rpcbind" ] || kill -KILL "$rpcbind" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
mkdir "$work/data"

fail() {
    echo "FAIL: $*"
    cat "$work/log" "$work/said" 2>/dev/null | sed 's/^/    /'
    failures=$((failures + 1))
}
wait_for() { # COMMAND...: until it succeeds, 30 s
    local i
    for ((i = 0; i < 300; i++)); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    return 1
}
start() { # PORT [OPTIONS...]
    local port=$1
    shift
    : >"$work/log"
    "$pailfs" serve --state-dir "$work/state" --nfs-port "$port" --shutdown-timeout 5s "$@" "file://$work/data" 2>"$work/log" &
    started=$!
    wait_for grep -q event=ready "$work/log" || fail "not ready"
}
stop() { # SIGNAL
    kill "-$1" "$started"
    wait "$started"
    started=
}
says() { # PATTERN COMMAND...: its output has a line like PATTERN
    local pattern=$1
    shift
    timeout 20 "$@" >"$work/said" 2>&1
    grep -Eq "$pattern" "$work/said" || fail "$* does not say /$pattern/"
}
registered() { # PROGRAM VERSION PROTOCOL: the port
    rpcinfo -p 127.0.0.1 2>/dev/null | awk -v w="$1 $2 $3" '$1 " " $2 " " $3 == w { print $4 }'
}
expect() { # PORT: what is registered, "" = nothing
    local what port
    for what in "100003 3 tcp" "100005 1 tcp" "100005 1 udp" "100005 3 tcp" "100005 3 udp"; do
        port=$(registered $what)
        [ "$port" = "$1" ] || fail "$what is registered with port '$port', expected '$1'"
    done
}

echo "== on our own"
start 3049
expect 3049
says 'way=own' cat "$work/log"
says '^ *100000 +4 +tcp +111' rpcinfo -p 127.0.0.1
says '100003 +3 +tcp +127.0.0.1.11.233' rpcinfo 127.0.0.1
says '100003 +3 +tcp6 +::1.11.233' rpcinfo ::1
says 'program 100003 version 3 ready' rpcinfo -t 127.0.0.1 100003 3
says 'program 100005 version 3 ready' rpcinfo -u 127.0.0.1 100005 3
says 'program 100005 version 1 ready' rpcinfo -u 127.0.0.1 100005 1
says 'not registered' rpcinfo -u 127.0.0.1 100003 3
says '^/data ' showmount -e 127.0.0.1
says '^/data ' showmount -e ::1
stop TERM

echo "== with rpcbind"
rpcbind -f -w &
rpcbind=$!
wait_for rpcinfo -p 127.0.0.1 || fail "rpcbind does not answer"
start 3049
says 'way=rpcbind' cat "$work/log"
expect 3049
says '100003 +3 +tcp6 +::.11.233' rpcinfo 127.0.0.1
says '^/data ' showmount -e 127.0.0.1
stop TERM
expect ""
says '^ *100000 +4 +tcp +111' rpcinfo -p 127.0.0.1

echo "== what a killed one left"
start 3049
stop KILL
expect 3049
start 3050
expect 3050

echo "== another server's entries"
other=$started
started=
: >"$work/log"
"$pailfs" serve --state-dir "$work/state2" --nfs-port 3051 "file://$work/data" 2>"$work/log" &
started=$!
wait_for grep -q event=ready "$work/log" || fail "not ready"
says 'way=none why="cannot register with rpcbind: another NFS server' cat "$work/log"
expect 3050
stop TERM
expect 3050
started=$other
stop TERM
expect ""

echo "== $failures failures"
[ $failures = 0 ]

#!/bin/bash
# sentences.sh PAILFS: every way to start pailfs wrongly ends at once with an exit status and one
# sentence that names what is wrong; a right start is ready, and SIGTERM ends it. Runs in a network
# namespace of its own where that is allowed, else on unusual ports.
set -u
pailfs=$1
if [ -z "${SENTENCES_INSIDE:-}" ] && unshare --net true 2>/dev/null; then
    SENTENCES_INSIDE=namespace exec unshare --net --kill-child --fork "$0" "$@"
fi
[ "${SENTENCES_INSIDE:-}" = namespace ] && ip link set lo up

work=$(mktemp -d)
failures=0
children=()
cleanup() {
    local pid
    for pid in "${children[@]}"; do
        kill -KILL "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
data=$work/data
mkdir "$data"
port=42049
common=(--nfs-port $port --portmap off)
unset AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION
export AWS_CONFIG_FILE=$work/none AWS_SHARED_CREDENTIALS_FILE=$work/none AWS_EC2_METADATA_DISABLED=true

fail() {
    echo "FAIL: $*"
    sed 's/^/    /' "$work/err"
    failures=$((failures + 1))
}

# refuse STATUS PATTERN ARGS...: "pailfs ARGS" ends within 45 s with this status and one sentence on
# stderr that matches PATTERN.
refuse() {
    local want=$1 pattern=$2 status
    shift 2
    timeout -k 1 45 "$pailfs" "$@" >"$work/out" 2>"$work/err"
    status=$?
    [ "$status" = "$want" ] || fail "exit status $status instead of $want: pailfs $*"
    [ "$(wc -l <"$work/err")" = 1 ] || fail "not one sentence: pailfs $*"
    grep -q '^pailfs: ' "$work/err" || fail "no sentence: pailfs $*"
    grep -Eq -- "$pattern" "$work/err" || fail "the sentence does not match /$pattern/: pailfs $*"
    [ ! -s "$work/out" ] || fail "something on stdout: pailfs $*"
    grep '^pailfs: ' "$work/err"
}

# start LOG ARGS...: starts pailfs and waits until it is ready; its pid is in $started.
start() {
    local log=$1 i
    shift
    : >"$log" # what an earlier one said must not count
    "$pailfs" "$@" 2>"$log" &
    started=$!
    children+=($started)
    for ((i = 0; i < 300; i++)); do
        grep -q event=ready "$log" && return 0
        kill -0 $started 2>/dev/null || break
        sleep 0.1
    done
    cp "$log" "$work/err"
    fail "not ready: pailfs $*"
    return 1
}

# stop PID: SIGTERM, and the exit status within 45 s.
stop() {
    kill -TERM "$1"
    timeout 45 tail --pid="$1" -f /dev/null || return 99
    wait "$1"
}

# With a store that does not answer and a file that is not in it, the first SIGTERM goes on trying and the
# second one ends the process; the next run puts the file into the store.
second_signal() {
    command -v nfs-cp >/dev/null || { echo "no nfs-cp: signals are left out"; return; }
    local url="nfs://127.0.0.1/bucket/late?nfsport=$port&mountport=$port" status i
    start "$work/log" serve "${s3[@]}" --insecure-ports --squash none --quiet-time 1h \
        --shutdown-timeout 120s s3://bucket || return
    echo late >"$work/late"
    nfs-cp "$work/late" "$url" >"$work/err" 2>&1 || fail "nfs-cp"
    kill -STOP "$store"
    kill -TERM $started
    for ((i = 0; i < 100; i++)); do
        grep -q event=stopping "$work/log" && break
        sleep 0.1
    done
    timeout 2 tail --pid=$started -f /dev/null && fail "it did not wait for the store"
    kill -TERM $started
    timeout 5 tail --pid=$started -f /dev/null || fail "it did not end at the second signal"
    wait $started
    status=$?
    [ $status = 143 ] || fail "exit status $status after the second signal"
    kill -CONT "$store"
    start "$work/log" serve "${s3[@]}" --shutdown-timeout 30s s3://bucket && stop $started
    cmp "$work/late" "$work/s3/bucket/late" || fail "the file did not reach the store"
}

echo "== the command line"
"$pailfs" --version | grep -q '^pailfs [0-9]' || fail "--version"
"$pailfs" help serve | grep -q -- '--state-dir DIR' || fail "help serve"
"$pailfs" serve --bogus --help | grep -q 'usage: pailfs serve' || fail "serve --help"
"$pailfs" help >/dev/full 2>"$work/err" && fail "help into a full device"
refuse 2 'unknown command bogus' bogus
refuse 2 'unknown option --bogus' serve --bogus s3://b
refuse 2 'nothing to serve' serve
refuse 2 '--nfs-port lots: expected a port' serve --nfs-port lots "file://$data"
refuse 2 '--allow 10.0.0.1/8: expected' serve --allow 10.0.0.1/8 "file://$data"
refuse 2 'ftp://x: expected a URL' serve ftp://x
"$pailfs" help status | grep -q '3 no gateway answers' || fail "help status"
"$pailfs" flush --help | grep -q -- '--timeout TIME' || fail "flush --help"
refuse 2 'unknown option --bogus' status --bogus
refuse 3 'now: no mount .* expected the mountpoint' status now
refuse 2 '--state-dir : expected' status --state-dir ''
refuse 2 '--timeout soon: expected a time' flush --timeout soon
refuse 2 'media: expected a path that begins with' flush media
refuse 2 'one path at most, not also /b' flush /a /b
refuse 3 "no gateway is running with the state directory $work/none" status --state-dir "$work/none"
refuse 3 "no gateway is running with the state directory $work" flush --wait --state-dir "$work"
refuse 2 'two exports are called /data' serve "file://$data" file:///elsewhere/data

echo "== directories"
state=$work/state
refuse 1 "$work/missing" serve --state-dir "$state" "${common[@]}" "file://$work/missing"
echo x >"$work/file"
refuse 1 "$work/file" serve --state-dir "$state" "${common[@]}" "file://$work/file"
refuse 1 "$work/file/state" serve --state-dir "$work/file/state" "${common[@]}" "file://$data"
mkdir "$work/damaged"
head -c 100000 /dev/urandom >"$work/damaged/pailfs.db"
refuse 1 "$work/damaged" serve --state-dir "$work/damaged" "${common[@]}" "file://$data"

mkdir -p "$work/taken/control"
refuse 1 "$work/taken/control: something that is no socket" serve --state-dir "$work/taken" "${common[@]}" "file://$data"

echo "== a configuration file"
conf=$work/pailfs.conf
mkdir -p "$work/other"
cat >"$conf" <<END
[pailfs]
state-dir = $work/state-conf
nfs-port = $port
portmap = off
[defaults]
enable-mtime = yes
[export /data]
url = file://$data
[export /other]
url = file://$work/other
read-only = yes
END
"$pailfs" check-config "$conf" >"$work/out" 2>"$work/err" || fail "check-config"
grep -q "^export /other: file://$work/other, read-only$" "$work/out" || fail "what check-config says"
grep -q "^pailfs: note: $conf:6: enable-mtime = yes: always so here" "$work/err" || fail "the note of check-config"
"$pailfs" check-config "$conf" >/dev/full 2>"$work/err" && fail "check-config into a full device"
env -i "$pailfs" check-config "$conf" >"$work/out" 2>"$work/err" || fail "check-config without an environment"
if start "$work/log" serve -c "$conf" --squash none; then
    grep -q 'event=export name="/data".*access=rw' "$work/log" || fail "no word of /data"
    grep -q 'event=export name="/other".*access=ro' "$work/log" || fail "no word of /other"
    stop $started || fail "exit status after SIGTERM"
fi
refuse 1 '/nonexistent/log: No such file' serve "${common[@]}" --log-file /nonexistent/log "file://$data"
"$pailfs" serve -c "$conf" --log-file "$work/own.log" 2>"$work/err" &
children+=($!)
logged=$!
for ((i = 0; i < 300; i++)); do
    grep -qs event=ready "$work/own.log" && break
    sleep 0.1
done
mv "$work/own.log" "$work/own.log.1"
kill -HUP $logged
for ((i = 0; i < 300; i++)); do
    [ -e "$work/own.log" ] && break
    sleep 0.1
done
stop $logged || fail "exit status with a log file"
grep -q event=stopped "$work/own.log" || fail "no new log after SIGHUP"
echo 'colour = red' >>"$conf"
refuse 1 "$conf:12: unknown option colour in \\[export /other\\]" check-config "$conf"
refuse 2 "$conf:12: unknown option colour in \\[export /other\\]" serve -c "$conf"
refuse 1 "$work/none: No such file" check-config "$work/none"
refuse 2 "$work/none: No such file" serve -c "$work/none"
refuse 2 'expected one FILE' check-config
refuse 2 'expected one FILE' check-config "$conf" "$conf"

echo "== in use"
if start "$work/log" serve --state-dir "$state" "${common[@]}" "file://$data"; then
    running=$started
    refuse 1 "$state.*(in use|another)" serve --state-dir "$state" --nfs-port 42050 --portmap off "file://$data"
    refuse 1 "$port" serve --state-dir "$work/state2" "${common[@]}" "file://$data"
    "$pailfs" status --state-dir "$state" | grep -q '^Everything is in the bucket.$' || fail "status"
    "$pailfs" status --state-dir "$state" >/dev/full 2>"$work/err" && fail "status into a full device"
    "$pailfs" flush --wait --state-dir "$state" /data >/dev/null || fail "flush"
    refuse 2 '/nowhere is in no export: expected a path such as /data' flush --state-dir "$state" /nowhere
    stop "$running"
    status=$?
    cp "$work/log" "$work/err"
    [ $status = 0 ] || fail "exit status $status after SIGTERM"
    grep -q 'event=stopping signal=TERM' "$work/log" || fail "no word of the signal"
    grep -q 'event=stopped left_files=0' "$work/log" || fail "no word of what is left"
fi
if [ "${SENTENCES_INSIDE:-}" = namespace ]; then
    # Something that is not rpcbind has port 111.
    python3 -c 'import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 111)); s.listen(); time.sleep(300)' &
    children+=($!)
    holder=$!
    for ((i = 0; i < 100; i++)); do
        (exec 3<>/dev/tcp/127.0.0.1/111) 2>/dev/null && break
        sleep 0.1
    done
    refuse 1 'port 111' serve --state-dir "$state" --nfs-port $port --portmap on "file://$data"
    start "$work/log" serve --state-dir "$state" --nfs-port $port "file://$data" && stop $started
    cp "$work/log" "$work/err"
    grep -q 'event=portmap way=none' "$work/log" || fail "no word of the missing port 111"
    kill "$holder"
fi

echo "== stores"
export AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret
s3=(--state-dir "$work/state3" "${common[@]}" --path-style --region us-east-1)
refuse 1 '127.0.0.1:42051' serve "${s3[@]}" --endpoint http://127.0.0.1:42051 s3://bucket
refuse 1 'no-such.invalid' serve "${s3[@]}" --endpoint http://no-such.invalid:1 s3://bucket
refuse 2 "$work/no.pem" serve "${s3[@]}" --endpoint https://127.0.0.1:42051 --ca-file "$work/no.pem" s3://bucket
for versitygw in "${PAILFS_TOOLS:-/nonexistent}/versitygw" "$(command -v versitygw)" ~/go/bin/versitygw none; do
    [ -x "$versitygw" ] && break
done
if [ "$versitygw" != none ]; then
    mkdir -p "$work/s3/bucket"
    "$versitygw" --access key --secret secret --port 127.0.0.1:42052 --quiet posix "$work/s3" >/dev/null 2>&1 &
    store=$!
    children+=($store)
    for ((i = 0; i < 100; i++)); do
        (exec 3<>/dev/tcp/127.0.0.1/42052) 2>/dev/null && break
        sleep 0.1
    done
    s3+=(--endpoint http://127.0.0.1:42052)
    refuse 1 's3://missing.*bucket' serve "${s3[@]}" s3://missing
    AWS_SECRET_ACCESS_KEY=wrong refuse 1 's3://bucket.*(credential|secret|signature)' serve "${s3[@]}" s3://bucket
    AWS_ACCESS_KEY_ID=nobody refuse 1 's3://bucket.*(credential|key)' serve "${s3[@]}" s3://bucket
    (
        unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
        refuse 1 'no keys were found' serve "${s3[@]}" s3://bucket
        exit $failures
    )
    failures=$?
    start "$work/log" serve "${s3[@]}" s3://bucket && stop $started
    second_signal
    refuse 1 "$work/state3.*made for s3://bucket" serve --state-dir "$work/state3" "${common[@]}" "file://$data"
else
    echo "no versitygw: what needs an S3 server is left out"
fi

echo "== $failures failures"
[ $failures = 0 ]

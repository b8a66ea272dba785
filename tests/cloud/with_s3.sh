#!/bin/bash
# with_s3.sh COMMAND [ARG ...]: runs COMMAND while a versitygw serves a fresh bucket "conf" on a free
# port of 127.0.0.1. COMMAND sees S3_ENDPOINT and the AWS_* variables; "@ENDPOINT@" in an argument
# is replaced. With S3_TLS=1 it serves https, by a certificate of its own: @CA@, or S3_CA_FILE.
# With S3_CHAOS=1 the gateway is killed, and started again, about once a second while COMMAND runs.
# Exit status: that of COMMAND, or 77 if there is no versitygw.
set -u
gateway=$(command -v versitygw || true)
[ -n "$gateway" ] || gateway=$(command -v "${GOPATH:-$HOME/go}/bin/versitygw") ||
    { echo "skipped: versitygw is not installed"; exit 77; }

work=$(mktemp -d)
pid=
command=
cleanup() {
    status=$?
    [ -z "$command" ] || kill "$command" 2>/dev/null
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    fi
    rm -rf "$work"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export ROOT_ACCESS_KEY=conformance ROOT_SECRET_KEY=conformance-secret
mkdir "$work/data" "$work/data/conf" "$work/home"
scheme=http
tls=()
if [ "${S3_TLS:-0}" = 1 ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$work/key.pem" -out "$work/ca.pem" \
        2>"$work/log" || { cat "$work/log"; echo "skipped: no openssl"; exit 77; }
    scheme=https
    tls=(--cert "$work/ca.pem" --key "$work/key.pem")
fi
gateway_start() {
    "$gateway" --port "127.0.0.1:$port" --access "$ROOT_ACCESS_KEY" --secret "$ROOT_SECRET_KEY" \
        --region us-east-1 --quiet --keep-alive "${tls[@]}" posix "$work/data" >"$work/log" 2>&1 &
    pid=$!
}
# The port must be free, and stay so until the gateway has it: try until it has one.
for _ in 1 2 3 4 5; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    gateway_start
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break 2
        sleep 0.1
    done
    wait "$pid" 2>/dev/null
    pid=
done
if [ -z "$pid" ]; then
    cat "$work/log"
    echo "versitygw does not start"
    exit 1
fi

export AWS_ACCESS_KEY_ID=$ROOT_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$ROOT_SECRET_KEY
export AWS_REGION=us-east-1 HOME=$work/home S3_DATA=$work/data
export S3_ENDPOINT=$scheme://127.0.0.1:$port S3_CA_FILE=$work/ca.pem
export no_proxy=127.0.0.1
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3
set -- "${@//@ENDPOINT@/$S3_ENDPOINT}"
set -- "${@//@CA@/$S3_CA_FILE}"
if [ "${S3_CHAOS:-0}" = 1 ]; then
    "$@" &
    command=$!
    while sleep 1 && kill -0 "$command" 2>/dev/null; do
        kill -9 "$pid"
        wait "$pid" 2>/dev/null
        sleep 0.3
        gateway_start
    done
    wait "$command"
else
    "$@"
fi
status=$?
[ "$status" = 0 ] || tail -n 20 "$work/log"
exit "$status"

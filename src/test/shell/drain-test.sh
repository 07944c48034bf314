#!/bin/sh
#
# Tests how a server ends, with real processes: sh src/test/shell/drain-test.sh
#
# Needs the built target/lithe. Streams that a server accepted before SIGTERM end complete, and a
# second signal ends it at once. Prints a line a test; ends with 1 when a test fails.

set -u
root=$(cd "$(dirname "$0")/../../.." && pwd -P)
lithe=$root/target/lithe
[ -x "$lithe" ] || { echo "ok - drain # SKIP there is no target/lithe; build first"; exit 0; }
work=$(mktemp -d)
server=
slow=
trap '[ -z "$server" ] || kill -KILL "$server" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0

# until_holds COMMAND...: polls for 60 seconds.
until_holds() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || return 1
        sleep 0.1
    done
}

serving() { grep -q '^serving' "$work/serve"; }

# All clients have begun to print, or one where they take turns.
streaming() {
    [ -z "$slow" ] || { [ -s "$work/client1" ] || [ -s "$work/client2" ] || [ -s "$work/client3" ]; return; }
    for i in 1 2 3; do [ -s "$work/client$i" ] || return 1; done
}

# begin: a server of the demo, and three clients whose streams run.
begin() {
    rm -f "$work"/*
    LITHE_KERNELS=${slow:+libtorch} "$lithe" serve demo --port 0 --http-port 0 "$@" >"$work/serve" 2>"$work/log" &
    server=$!
    until_holds serving || { cat "$work/log"; exit 1; }
    port=$(sed -n 's/.*gRPC 127.0.0.1:\([0-9]*\).*/\1/p' "$work/serve")
    clients=
    for i in 1 2 3; do
        "$lithe" generate "Once upon a time" --target "127.0.0.1:$port" --max-tokens 500 --ignore-eos \
            >"$work/client$i" 2>"$work/error$i" &
        clients="$clients $!"
    done
    curl=
    if [ -z "$slow" ] && command -v curl >/dev/null; then
        http=$(sed -n 's/.*HTTP 127.0.0.1:\([0-9]*\).*/\1/p' "$work/serve")
        curl -sN "http://127.0.0.1:$http/v1/completions" >"$work/http" 2>"$work/error4" \
            -d '{"prompt": "Once upon a time", "max_tokens": 500, "ignore_eos": true, "stream": true}' &
        curl=$!
        until_holds test -s "$work/http" || { cat "$work"/error*; exit 1; }
    fi
    until_holds streaming || { cat "$work"/error*; exit 1; }
}

report() { # report NAME PROBLEM
    if [ -z "$2" ]; then echo "ok - $1"; else echo "not ok - $1: $2"; failed=1; fi
}

begin
kill -TERM "$server"
problem=
for client in $clients; do wait "$client" || problem="a stream ended with status $?"; done
if [ -n "$curl" ]; then
    wait "$curl" || problem="$problem the HTTP stream ended with status $?;"
    grep -q 'DONE' "$work/http" || problem="$problem the HTTP stream was cut;"
fi
wait "$server"
status=$?
server=
[ "$status" -eq 143 ] || problem="$problem the server ended with status $status"
report "streams that were accepted end complete" "$problem"

# One after the other by the slower kernels: what was accepted takes seconds, and the drain as long.
slow=1
begin --drain-seconds 600 --max-running 1
kill -TERM "$server"
sleep 0.3
problem=
kill -0 "$server" 2>/dev/null || problem="the first signal ended it at once;"
kill -TERM "$server"
wait "$server"
status=$?
server=
[ "$status" -eq 143 ] || problem="$problem the server ended with status $status;"
cut=0
for client in $clients; do wait "$client" || cut=$((cut + 1)); done
[ "$cut" -gt 0 ] || problem="$problem all streams ended complete, so it went on after the second;"
report "a second signal ends it at once" "$problem"
exit "$failed"

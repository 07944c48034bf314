#!/bin/sh
#
# Tests a built program through every command: sh src/test/shell/commands-test.sh [PROGRAM]
#
# PROGRAM is target/lithe when none is named: the launcher of a JVM build or the native executable,
# which must do the same. Compresses the demo by every technique, so it takes minutes. Prints a line
# a test; ends with 1 when a test fails.

set -u
root=$(cd "$(dirname "$0")/../../.." && pwd -P)
lithe=${1:-$root/target/lithe}
[ -x "$lithe" ] || { echo "not ok - $lithe is not there; build first"; exit 1; }
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -KILL "$server" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
export XDG_CACHE_HOME="$work/cache" HF_HOME="$work/hub"
cd "$work" || exit 1
failed=0

# gives STATUS TEXT ARGUMENT...: how it must end, and what it must print.
gives() {
    wanted=$1
    text=$2
    shift 2
    "$lithe" "$@" >out 2>err </dev/null
    status=$?
    if [ "$status" -ne "$wanted" ]; then
        echo "not ok - $*: status $status, not $wanted"
    elif grep -q 'Exception in thread\|^	at ' err; then
        echo "not ok - $*: a stack trace"
    elif ! grep -q -- "$text" out err; then
        echo "not ok - $*: prints no '$text'"
    else
        echo "ok - $*"
        return
    fi
    sed 's/^/#   /' err
    failed=1
}

gives 0 '^lithe [0-9]' --version
for command in bench compress evaluate export generate inspect pull run search serve techniques; do
    gives 0 "^Usage: lithe $command" "$command" --help
done
gives 2 'nosuch' nosuch
gives 2 'missing-folder' inspect missing-folder
gives 2 'nosuch' compress demo --recipe nosuch
gives 0 '43 × float16' inspect demo
gives 0 '"parameters"' inspect demo --json
gives 0 '^gptq ' techniques
gives 0 '"name"' techniques --json

for recipe in int8 int4 gptq4 fastest-cpu; do
    gives 0 'bytes\|MB' compress demo --recipe "$recipe" --dry-run
done

# by TECHNIQUE [KEYS [NEXT]]: the demo by one technique, before another where it prepares one.
by() {
    cat >recipe.yaml <<EOF
calibration: {samples: 8}
stages:
  - $1: {${2:-}}
${3:+  - $3}
EOF
    gives 0 'written' compress demo --recipe recipe.yaml --no-evaluate -o "by-$1"
    gives 0 'perplexity' evaluate "by-$1" --tokens 512 --latency-pairs 0
}
"$lithe" techniques >names
while read -r technique _; do
    case $technique in
        bit_allocation) by "$technique" 'average_bits: 4.5, samples: 2' 'gptq: {}' ;;
        block_heal | train) by "$technique" 'steps: 2' ;;
        distill) by "$technique" 'layers: 3, steps: 2' ;;
        heal) by "$technique" 'steps: 2, rank: 4, adapter: adapter' ;;
        merge_adapter) by "$technique" 'adapter: adapter' ;;
        specialize) by "$technique" "task: '$root/src/main/resources/demo/calibration.txt', samples: 4" ;;
        *) by "$technique" ;;
    esac
done <names

gives 0 'written' compress demo --recipe int8 --tokens 512 --latency-pairs 10 -o int8
gives 0 '"variants"' evaluate demo int8 --tokens 512 --latency-pairs 0 --json
gives 0 'int8.gguf' export int8 --to gguf -o int8.gguf
gives 0 'LlamaForCausalLM' inspect int8.gguf
for form in dense compressed-tensors; do
    gives 0 "int8-$form" export int8 --to "$form" -o "int8-$form"
    gives 0 'LlamaForCausalLM' inspect "int8-$form"
done
gives 0 'winner' search demo --max-bytes 40% --max-candidates 2 --tokens 512 --latency-pairs 0 -o found
export HF_HUB_OFFLINE=1
gives 2 'HF_HUB_OFFLINE' pull org/name

"$lithe" serve demo --compressed int8 --port 0 --http-port 0 >serving 2>log &
server=$!
tries=0
until grep -q '^serving' serving || [ "$tries" -gt 600 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
port=$(sed -n 's/.*gRPC 127.0.0.1:\([0-9]*\).*/\1/p' serving)
http=$(sed -n 's/.*HTTP 127.0.0.1:\([0-9]*\).*/\1/p' serving)
for variant in original compressed; do
    gives 0 'little girl' generate 'Once upon a time' --target "127.0.0.1:$port" --variant "$variant" --max-tokens 8
done
gives 2 'use 0 (greedy) to 100' generate Once --target "127.0.0.1:$port" --temperature 101
gives 0 'compressed' bench --target "127.0.0.1:$port" --requests 2 --warmup 1 --tokens 4 --prompt-tokens 8
# answers TEXT PATH [BODY]: what HTTP says.
answers() {
    curl -sS "http://127.0.0.1:$http$2" ${3:+-H 'Content-Type: application/json' -d "$3"} >out 2>err
    if grep -q -- "$1" out; then
        echo "ok - GET or POST $2"
    else
        echo "not ok - $2: no '$1'"
        sed 's/^/#   /' out err
        failed=1
    fi
}
answers '<html' /
answers 'UP' /q/health/ready
answers 'lithe_' /q/metrics
answers '"compressed"' /v1/models
answers '"text"' /v1/completions '{"prompt": "Once upon a time", "max_tokens": 4}'
answers 'DONE' /v1/completions '{"prompt": "Once upon a time", "max_tokens": 4, "stream": true}'
kill -TERM "$server"
wait "$server"
status=$?
server=
if [ "$status" -eq 143 ]; then echo "ok - the server ends"; else echo "not ok - the server ends with $status"; failed=1; fi
exit "$failed"

#!/bin/sh
# Speaks to a running server through grpcurl, which knows nothing of our proto but what reflection tells it; stops where an answer
# is not what it should be.
#
# usage: eval/outside/grpcurl.sh [TARGET]        default 127.0.0.1:9000; GRPCURL (default grpcurl)
set -eu
target=${1:-127.0.0.1:9000}
call() { # METHOD JSON
    "${GRPCURL:-grpcurl}" -plaintext -max-time 60 -d "$2" "$target" "$1" 2>&1 || true
}
expect() { # NAME PATTERN ANSWER
    if ! printf '%s' "$3" | grep -q "$2"; then printf '%s: no %s in %s\n' "$1" "$2" "$3" >&2; exit 1; fi
    printf '%-16s %s\n' "$1" "$(printf '%s' "$3" | grep -m 1 "$2" | sed 's/^ *//' | cut -c 1-100)"
}
input='"input": {"text": "Once upon a time", "variant": "original", "stopping": {"max_new_tokens": 8}'
expect list lithe.v1.GenerationService "$("${GRPCURL:-grpcurl}" -plaintext "$target" list)"
expect generate '"text"' "$(call lithe.v1.GenerationService/Generate "{$input}}")"
expect stream FINISH_REASON_LENGTH "$(call lithe.v1.GenerationService/GenerateStream "{$input}}")"
expect batch FINISH_REASON_LENGTH "$(call lithe.v1.GenerationService/BatchGenerate '{"inputs": [{"text": "Tom", "stopping": {"max_new_tokens": 2, "ignore_eos": true}}]}')"
expect score log_likelihood "$(call lithe.v1.GenerationService/Score '{"prompt_text": "Once", "text": " upon a time"}')"
expect compare same_tokens "$(call lithe.v1.ExperimentService/Compare '{"input": {"text": "Once", "stopping": {"max_new_tokens": 4}}}')"
expect split '"share"' "$(call lithe.v1.ExperimentService/GetSplit '{}')"
expect variants '"name"' "$(call lithe.v1.ModelService/ListVariants '{}')"
expect health SERVING "$(call grpc.health.v1.Health/Check '{}')"
expect ready '"ready": true' "$(call inference.GRPCInferenceService/ServerReady '{}')"
expect infer text_output "$(call inference.GRPCInferenceService/ModelInfer '{"model_name": "original", "inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": ["T25jZQ=="]}}]}')"
expect 'bad temperature' 'Code: InvalidArgument' "$(call lithe.v1.GenerationService/Generate "{$input, \"temperature\": -1}}" | tr '\n' ' ' | sed 's/$/\n/')"
expect 'unknown variant' 'Code: NotFound' "$(call lithe.v1.GenerationService/Generate '{"input": {"text": "x", "variant": "nobody"}}' | tr '\n' ' ')"
expect 'unknown field' 'no known field' "$(call lithe.v1.GenerationService/Generate '{"imput": {}}')"

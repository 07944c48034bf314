# Sourced by the commands that set techniques side by side: makes a copy of a model for each calibration seed, measures all from
# the disk, and prints tables of perplexity ratio and mean KL divergence, with the orders that ought to hold.
# usage: . orders.sh MODEL CALIBRATION_TEXT TEXT [TOKENS [FOLDER]]
#
# What lies in FOLDER by then is not made again, and all is left there. Calibration windows are 128 unless SAMPLES says other.
lithe=${LITHE:-$(cd "$(dirname "$0")/.." && pwd)/target/lithe}
model=$1
calibration=$2
text=$3
tokens=${4:-100000}
out=${5:-$(mktemp -d)}
[ $# -ge 5 ] || trap 'rm -rf "$out"' EXIT
trap 'exit 1' INT TERM
mkdir -p "$out"
seeds='0 1 2'
samples=${SAMPLES:-128}

# made NAME SEEDS STAGES: a copy for each seed, in $out/NAME.SEED; it stands where STAGES says SEED too
made() {
    for seed in $2; do
        [ ! -e "$out/$1.$seed" ] || continue
        stages=$(echo "$3" | sed "s/SEED/$seed/g")
        printf 'stages: [%s]\ncalibration: {samples: %s, context: 256, seed: %s}\n' "$stages" "$samples" "$seed" >"$out/recipe.yaml"
        "$lithe" compress "$model" --recipe "$out/recipe.yaml" --calibration-text "$calibration" --output "$out/$1.$seed" \
            --no-evaluate 2>"$out/log" || { cat "$out/log" >&2; exit 1; }
        echo "$1, seed $seed" >&2
    done
}

# orders JQ: the table of all copies, and the rows that JQ makes with `order("better"; "worse")` and `limit("name"; MOST)`
orders() {
    "$lithe" evaluate "$model" "$out"/*.[0-9] --text "$text" --tokens "$tokens" --context 256 --latency-pairs 0 --json \
        >"$out/report.json"
    jq -r '
        def digits($n): . * pow(10; $n) | round / pow(10; $n);
        def spread($n): "\(add / length | digits($n))" + if length > 1 then " [\(min | digits($n)), \(max | digits($n))]" else "" end;
        def mean($name; f): .[$name] | map(f) | add / length;
        def held($yes): if $yes then "holds" else "FAILS" end;
        def ratio: .ratios.perplexity.value;
        def kl: .kl_divergence.mean;
        def limit($name; $most): mean($name; ratio) as $is | "| \($name) ≤ \($most) | \($is | digits(5)) \(held($is <= $most)) | |";
        def order($a; $b):
            (mean($a; ratio) - mean($b; ratio)) as $ratio | (mean($a; kl) / mean($b; kl)) as $kl
            | "| \($a) < \($b) | \($ratio | digits(5)) \(held($ratio < 0)) | \($kl | digits(3)) \(held($kl < 1)) |";
        def atMost($a; $b):
            (mean($a; ratio) - mean($b; ratio)) as $ratio | (mean($a; kl) / mean($b; kl)) as $kl
            | "| \($a) ≤ \($b) | \($ratio | digits(5)) \(held($ratio <= 0)) | \($kl | digits(3)) \(held($kl <= 1)) |";
        .evaluation as $evaluation
        | [.variants[] | select(.name != "original")] | group_by(.source | sub("\\.[0-9]$"; ""))
        | map({key: (.[0].source | sub(".*/"; "") | sub("\\.[0-9]$"; "")), value: .}) | from_entries
        | "\($evaluation.tokens) tokens\n",
          "| what | bytes | perplexity ratio, mean [seeds] | mean KL, mean [seeds] |\n|---|---|---|---|",
          (to_entries[] | "| \(.key) | \(.value[0].bytes_on_disk) | \(.value | map(ratio) | spread(5)) | \(.value | map(kl) | spread(6)) |"),
          "\n| order | difference of perplexity ratios | quotient of KL |\n|---|---|---|",
          ('"$1"')' "$out/report.json"
}

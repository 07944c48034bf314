#!/usr/bin/env python3
"""transformers_shapes.py LITHE MODEL CALIBRATION_TEXT TEXT [TOKENS]

Gives MODEL other shapes, loads what was written by transformers' own loader, and holds the perplexity that it computes against
Lithe's, over the same windows of 256 tokens. Exit code 1 where they differ by more than 0.1 %, or where the loader misses a
weight. Experts (moefy) are loaded as a model that runs them all, since the loader knows no router.

Needs torch and transformers, which Lithe itself never does.
"""
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers

CONTEXT = 256
STAGES = [
    "depth_prune:remove=1", "width_prune:ffn=0.25", "width_prune:ffn=0.25,heads=0.5", "slice:remove=0.25",
    "gqa:kv_heads=4", "vocab_trim:tokens=2048", "tie_embeddings", "magnitude:sparsity=0.5", "moefy:active=1",
]


def lithe(*arguments: str) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def theirs(folder: Path, text: str, tokens: int) -> tuple[float, list[str]]:
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text, add_special_tokens=False).input_ids[:tokens]
    windows = torch.tensor(ids[:len(ids) // CONTEXT * CONTEXT]).view(-1, CONTEXT)
    loss = 0.0
    with torch.no_grad():
        for window in windows:
            logits = model(window[None]).logits[0, :-1].double().log_softmax(-1)
            loss -= logits.gather(1, window[1:, None]).sum().item()
    return math.exp(loss / (windows.numel() - len(windows))), list(report["missing_keys"])


def main(command: str, model: str, calibration: str, text: str, tokens: str = "8192") -> None:
    transformers.logging.set_verbosity_error()
    wrong = False
    print("| stage | perplexity by Lithe | by transformers | ratio |\n|---|---|---|---|")
    for stage in STAGES:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "made"
            lithe(command, "compress", model, "--stage", stage, "--calibration-text", calibration, "--no-evaluate",
                  "--output", str(folder))
            if "quantization_config" in json.loads((folder / "config.json").read_text()):
                dense = Path(scratch) / "dense"
                lithe(command, "export", str(folder), "--to", "dense", "--output", str(dense))
                folder = dense
            report = json.loads(lithe(
                command, "evaluate", str(folder), "--text", text, "--tokens", tokens, "--context", str(CONTEXT),
                "--latency-pairs", "0", "--json"))
            ours = report["variants"][0]["perplexity"]["value"]
            other, missing = theirs(folder, Path(text).read_text(), int(tokens))
            holds = abs(other / ours - 1) <= 1e-3 and not missing
            wrong |= not holds
            print(f"| `{stage}` | {ours:.4f} | {other:.4f} | {other / ours:.5f} {'holds' if holds else 'FAILS'} {missing or ''} |",
                  flush=True)
    sys.exit(wrong)


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    main(*sys.argv[1:])

#!/usr/bin/env python3
"""llm_compressor.py MODEL_FOLDER TEXT OUTPUT METHOD BITS GROUP [OBSERVER] [SAMPLES] [CONTEXT] [SEED]

Compresses a folder by llm-compressor's oneshot on the windows that `lithe compress` draws: METHOD is gptq, awq or rtn,
symmetric integers per group, output layer left alone. OBSERVER is minmax or mse. It needs a Python
environment with llmcompressor, which Lithe itself never does.
"""
import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from datasets import Dataset
from llmcompressor import oneshot
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

if not torch.cuda.is_available():
    torch.Tensor.pin_memory = lambda self, *_: self  # AWQ's cache asks for it without a GPU too


class JavaRandom:
    """java.util.Random, which draws Lithe's windows."""

    def __init__(self, seed):
        self.state = (seed ^ 0x5DEECE66D) & (1 << 48) - 1

    def below(self, bound):
        while True:
            self.state = (self.state * 0x5DEECE66D + 0xB) & (1 << 48) - 1
            bits = self.state >> 17
            if bound & -bound == bound:
                return bound * bits >> 31
            if bits - bits % bound + bound - 1 < 1 << 31:
                return bits % bound


def windows(model, text, samples, context, seed):
    with open(text, encoding="utf-8", newline="") as file:
        tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
        ids = tokenizer.encode(file.read(), add_special_tokens=False).ids
    random = JavaRandom(seed)
    firsts = [random.below(len(ids) - context + 1) for _ in range(min(samples, len(ids) // context))]
    rows = [ids[first : first + context] for first in firsts]
    return Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * context] * len(rows)})


def modifiers(method, bits, group, observer):
    weights = {
        "num_bits": bits,
        "type": "int",
        "symmetric": True,
        "strategy": "group",
        "group_size": group,
        "observer": {"minmax": "memoryless_minmax", "mse": "memoryless_mse"}[observer],
    }
    how = {"ignore": ["lm_head"], "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}
    if method == "gptq":
        from llmcompressor.modifiers.gptq import GPTQModifier

        return [GPTQModifier(**how)]
    from llmcompressor.modifiers.quantization import QuantizationModifier

    if method == "awq":
        from llmcompressor.modifiers.transform.awq import AWQModifier

        return [AWQModifier(), QuantizationModifier(**how)]
    return [QuantizationModifier(**how)]


def main():
    model, text, output, method, bits, group = sys.argv[1:7]
    observer = sys.argv[7] if len(sys.argv) > 7 else "minmax"
    samples, context, seed = (int(x) for x in (sys.argv[8:11] + ["128", "256", "0"][len(sys.argv[8:11]) :]))
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    oneshot(
        model=loaded,
        tokenizer=model,
        dataset=windows(model, text, samples, context, seed),
        recipe=modifiers(method, int(bits), int(group), observer),
        max_seq_length=context,
        num_calibration_samples=samples,
        shuffle_calibration_samples=False,
    )
    loaded.half().save_pretrained(output, save_compressed=True)
    for name in os.listdir(model):
        if name.startswith("tokenizer") or name == "special_tokens_map.json":
            with open(os.path.join(model, name), "rb") as source:
                with open(os.path.join(output, name), "wb") as target:
                    target.write(source.read())


main()

#!/usr/bin/env python3
"""gptqmodel_folders.py LITHE FOLDER

A tiny random Llama, quantized and saved by GPTQModel and read by Lithe (in-NAME), and quantized and exported by Lithe and read by
GPTQModel (out-NAME): prints how many of the float16 weights that GPTQModel makes of a folder differ from those that Lithe finds in
it (export --to dense). LITHE is target/lithe. Needs torch,
transformers and gptqmodel, which Lithe itself never does.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

os.cpu_count = lambda: 8  # with two cores gptqmodel asks for more threads than it lets itself have

import torch
from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
from safetensors.torch import load_file
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCAB, LENGTH = 320, 64
CONFIG = LlamaConfig(
    vocab_size=VOCAB, hidden_size=128, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    head_dim=32, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.1,
)
INTO = {
    "4": dict(bits=4, group_size=32, sym=True, desc_act=False),
    "4-zeros": dict(bits=4, group_size=32, sym=False, desc_act=False),
    "4-act": dict(bits=4, group_size=32, sym=True, desc_act=True),
    "8": dict(bits=8, group_size=32, sym=True, desc_act=False),
    "3": dict(bits=3, group_size=32, sym=True, desc_act=False),
}
OUT = {"4": "rtn:bits=4,group_size=32", "4-zeros": "rtn:bits=4,group_size=64,symmetric=false", "8": "rtn:bits=8,group_size=32"}


def lithe(*arguments):
    subprocess.run(list(map(str, arguments)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def save_plain(folder):
    torch.manual_seed(1)
    LlamaForCausalLM(CONFIG).half().save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({f"t{i}": i for i in range(VOCAB)}, unk_token="t0"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="t0", pad_token="t0").save_pretrained(folder)


def compare(command, name, folder):
    dense = folder.parent / f"{name}-dense"
    lithe(command, "export", folder, "--to", "dense", "-o", dense, "--force")
    model = GPTQModel.load(str(folder), backend=BACKEND.TORCH, device="cpu", dtype=torch.float16).model
    found = load_file(dense / "model.safetensors")
    different = count = 0
    for module, linear in model.named_modules():
        if hasattr(linear, "dequantize_weight"):
            linear.post_init()
            expected = linear.dequantize_weight().T.half()
            different += int((found[module + ".weight"] != expected).sum())
            count += expected.numel()
    print(f"RESULT {name:12} {different} of {count} weights differ", flush=True)


def main(command, root):
    root.mkdir(parents=True, exist_ok=True)
    plain = root / "plain"
    save_plain(plain)
    torch.manual_seed(0)
    texts = [{"input_ids": row.tolist(), "attention_mask": [1] * LENGTH} for row in torch.randint(3, VOCAB, [16, LENGTH])]
    for name, settings in OUT.items():
        small, folder = root / f"small-{name}", root / f"out-{name}"
        lithe(command, "compress", plain, "-o", small, "--stage", settings, "--no-evaluate", "--force")
        lithe(command, "export", small, "--to", "gptq", "-o", folder, "--force")
        compare(command, f"out-{name}", folder)
    for name, settings in INTO.items():
        folder = root / f"in-{name}"
        model = GPTQModel.load(str(plain), QuantizeConfig(**settings), device="cpu")
        model.quantize(texts, batch_size=4, backend=BACKEND.TORCH)
        model.save(str(folder))
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))  # or weights are compared as bfloat16
        compare(command, f"in-{name}", folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve())

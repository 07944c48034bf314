#!/usr/bin/env python3
"""peft_adapters.py LITHE MODEL CALIBRATION_TEXT TEXT [STEPS]

Holds Lithe's adapters against PEFT's. LITHE is the program, MODEL a Hugging Face folder. It heals MODEL for STEPS (default 40)
steps, which writes an adapter; merges that into MODEL; has PEFT make an adapter of its own, and merges that. Prints how far apart
the logits of 64 tokens of TEXT are: PEFT's with the adapter beside the model, and those of Lithe's folders as transformers loads
them, all in float32. Exit code 1 where they are too far. Needs torch, transformers and peft (without
gptqmodel beside them), which Lithe itself never does.
"""
import subprocess
import sys
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

if not 5 <= len(sys.argv) <= 6:
    sys.exit(__doc__)
lithe, model, calibration, text = sys.argv[1:5]
steps = sys.argv[5] if len(sys.argv) > 5 else "40"
tokens = AutoTokenizer.from_pretrained(model)(open(text).read(4000), return_tensors="pt").input_ids[:, :64]
scratch = tempfile.TemporaryDirectory()
failed = False


def path(name):
    return f"{scratch.name}/{name}"


def compress(name, *stages):
    """The folder NAME of MODEL in float32 behind `stages`."""
    command = [lithe, "compress", model, "--stage", "cast:dtype=float32"]
    for stage in stages:
        command += ["--stage", stage]
    command += ["--calibration-text", calibration, "--no-evaluate", "-o", path(name)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return path(name)


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def logits(of):
    with torch.no_grad():
        return of(tokens).logits


def compare(what, ours, theirs, most):
    global failed
    far = float((ours - theirs).abs().max())
    failed |= not far <= most
    print(f"| {what} | {far:.2e} | {most:.0e} {'holds' if far <= most else 'FAILS'} |")


def with_adapter(folder):
    """PEFT's logits with an adapter beside the model, which must move them."""
    global failed
    found = logits(PeftModel.from_pretrained(load(model), folder))
    moved = float((found - logits(load(model))).abs().max())
    failed |= moved < 0.1
    print(f"| {folder.split('/')[-1]} moves logits by up to | {moved:.2f} | |")
    return found


print("| what | largest difference of a logit | limit |\n|---|---|---|")
healed = compress("healed", f"heal:rank=16,loss=ce,steps={steps},adapter={path('lithe-adapter')}")
right = with_adapter(path("lithe-adapter"))
compare("healed by Lithe, adapter beside the model in PEFT", logits(load(healed)), right, 1e-3)
merged = compress("merged", f"merge_adapter:adapter={path('lithe-adapter')}")
compare("the same merged by Lithe", logits(load(merged)), right, 1e-4)

torch.manual_seed(0)
config = LoraConfig(r=8, lora_alpha=32, use_rslora=True, target_modules="all-linear", task_type="CAUSAL_LM")
own = get_peft_model(load(model), config)
for name, weight in own.named_parameters():
    if "lora_" in name:
        torch.nn.init.normal_(weight, std=0.02)
own.save_pretrained(path("peft-adapter"))
right = with_adapter(path("peft-adapter"))
merged = compress("merged-own", f"merge_adapter:adapter={path('peft-adapter')}")
compare("PEFT's own adapter merged by Lithe", logits(load(merged)), right, 1e-4)
sys.exit(failed)

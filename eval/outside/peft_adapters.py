#!/usr/bin/env python3
"""peft_adapters.py MODEL ADAPTER MERGED TEXT [OWN]

Holds Lithe's adapters against PEFT's. MODEL is a Hugging Face folder, ADAPTER what

    lithe compress MODEL --stage heal:rank=16,loss=ce,adapter=ADAPTER -o HEALED

wrote for it, MERGED the folder of

    lithe compress MODEL --stage cast:dtype=float32 --stage merge_adapter:adapter=ADAPTER -o MERGED

Prints how far apart the logits of 64 tokens of TEXT are: of PEFT's model with the adapter, of the same merged by PEFT, and of
MERGED as transformers loads it. With OWN it also writes a random adapter of PEFT's own there, for `merge_adapter` to take.
Needs torch, transformers and peft, which Lithe itself never does.
"""
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

model, adapter, merged, text = sys.argv[1:5]
tokens = AutoTokenizer.from_pretrained(model)(open(text).read(4000), return_tensors="pt").input_ids[:, :64]


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)


def logits(of):
    with torch.no_grad():
        return of(tokens).logits


base = logits(load(model))
beside = PeftModel.from_pretrained(load(model), adapter)
with_adapter = logits(beside)
by_peft = logits(beside.merge_and_unload())
by_lithe = logits(load(merged))
print(f"adapter moves logits by up to {(with_adapter - base).abs().max():.3f}")
print(f"merged by PEFT:  {(by_peft - with_adapter).abs().max():.2e} away from the adapter beside the model")
print(f"merged by Lithe: {(by_lithe - with_adapter).abs().max():.2e}")

if len(sys.argv) > 5:
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=32, use_rslora=True, init_lora_weights=False, target_modules="all-linear", task_type="CAUSAL_LM")
    own = get_peft_model(load(model), config)
    for name, weight in own.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.02)
    own.save_pretrained(sys.argv[5])

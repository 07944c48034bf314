#!/usr/bin/env python3
"""transformers_architectures.py FOLDER

Writes tiny random models of every architecture that Lithe knows, as transformers makes and saves them, with the logits that
transformers computes (golden.json). Then

    ./mvnw test -Dtest=TransformersTest -Dlithe.golden=FOLDER

holds Lithe's against them. Needs torch and transformers, which Lithe itself never does.
"""
import json
import sys
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models

VOCAB = 300
LENGTH = 40
SHAPE = dict(
    vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    initializer_range=0.15,
)
# Keys that GPT-2 and OPT do not have.
OTHERS = ["num_key_value_heads", "head_dim", "intermediate_size"]
ABSOLUTE = ["GPT2", "OPT"]
CLASSES = {"GPT2": "GPT2LMHeadModel"}
WINDOW = dict(sliding_window=9)
QWEN = dict(use_sliding_window=True, sliding_window=9, max_window_layers=2)
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "rope_theta": 10000.0}
LINEAR = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
PARTIAL = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.75}
LONG = {
    "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 64,
    "short_factor": [1.0, 1.0, 1.1, 1.2, 1.5, 1.8, 2.0, 2.5], "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
}
GEMMA = dict(query_pre_attn_scalar=24)
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64, "rope_theta": 10000.0,
}
CASES = {
    "llama": ("Llama", {}),
    "llama-biases-tied": ("Llama", dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
    "llama-llama3": ("Llama", dict(rope_parameters=LLAMA3)),
    "llama-linear": ("Llama", dict(rope_parameters=LINEAR)),
    "llama-dynamic": ("Llama", dict(rope_parameters=DYNAMIC)),
    "llama-yarn": ("Llama", dict(rope_parameters=YARN)),
    "mistral": ("Mistral", dict(sliding_window=None)),
    "mistral-window": ("Mistral", WINDOW),
    "qwen2": ("Qwen2", {}),
    "qwen2-window-tied": ("Qwen2", dict(**QWEN, tie_word_embeddings=True)),
    "qwen2-yarn": ("Qwen2", dict(rope_parameters=YARN)),
    "qwen3": ("Qwen3", {}),
    "phi3": ("Phi3", dict(sliding_window=None)),
    "phi3-window-partial": ("Phi3", dict(**WINDOW, rope_parameters=PARTIAL)),
    "phi3-longrope": ("Phi3", dict(sliding_window=None, rope_parameters=LONG, original_max_position_embeddings=64)),
    "gemma": ("Gemma", {}),
    "gemma2": ("Gemma2", dict(**WINDOW, **GEMMA, attn_logit_softcapping=5.0, final_logit_softcapping=4.0)),
    "gemma3": ("Gemma3Text", dict(**WINDOW, **GEMMA, layer_types=["sliding_attention", "full_attention"] * 2)),
    "gpt2": ("GPT2", {}),
    "gpt2-gelu-untied": ("GPT2", dict(n_inner=80, activation_function="gelu", tie_word_embeddings=False)),
    "opt": ("OPT", dict(ffn_dim=96, word_embed_proj_dim=64)),
    "opt-gelu-untied": ("OPT", dict(ffn_dim=96, word_embed_proj_dim=64, activation_function="gelu", tie_word_embeddings=False)),
    "qwen3-window-biases": ("Qwen3", dict(**QWEN, attention_bias=True)),
}


def randomized(model):
    """Biases and norms start at 0 and 1, which would hide mistakes."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def main(root: Path) -> None:
    torch.manual_seed(0)
    ids = torch.randint(3, VOCAB, [1, LENGTH])
    for name, (family, changes) in CASES.items():
        changes = {**SHAPE, **changes}
        if family in ABSOLUTE:
            for key in OTHERS:
                del changes[key]
        config = getattr(transformers, family + "Config")(**changes)
        config._attn_implementation = "eager"
        model = randomized(getattr(transformers, CLASSES.get(family, family.removesuffix("Text") + "ForCausalLM"))(config)).eval()
        folder = root / name
        model.save_pretrained(folder)
        tokenizer = Tokenizer(models.WordLevel({f"t{i}": i for i in range(VOCAB)}, unk_token="t0"))
        tokenizer.save(str(folder / "tokenizer.json"))
        with torch.no_grad():
            logits = model(ids).logits[0]
            greedy = model.generate(ids, max_new_tokens=20, do_sample=False, eos_token_id=None)[0, LENGTH:]
        golden = {"ids": ids[0].tolist(), "logits": logits.tolist(), "greedy": greedy.tolist()}
        (folder / "golden.json").write_text(json.dumps(golden))
        print(name, tuple(logits.shape), f"largest logit {logits.abs().max():.2f}")


main(Path(sys.argv[1]))

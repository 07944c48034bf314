#!/usr/bin/env python3
"""compressed_tensors_folders.py LITHE FOLDER

Writes a tiny random Llama in the forms of compressed-tensors, as that library makes and saves them (in-NAME), and the same model
compressed by Lithe and exported (out-NAME; LITHE is target/lithe), computes the logits of each folder with transformers, and lets
Lithe read each folder and write the weights that it finds there as floats (FOLDER/dense/NAME, with the logits in golden.json). Then

    ./mvnw test -Dtest=TransformersTest -Dlithe.golden=FOLDER/dense

holds the logits of those weights against transformers'. Activations stay floats: how they are rounded is a matter of the kernels,
not of the folder. Needs torch, transformers and compressed-tensors, which Lithe itself never does.
"""
import json
import subprocess
import sys
from pathlib import Path

import torch
from compressed_tensors.compressors import BaseCompressor, ModelCompressor
from compressed_tensors.quantization import QuantizationConfig, QuantizationScheme, apply_quantization_config
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import load_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

VOCAB, LENGTH = 300, 40
CONFIG = LlamaConfig(
    vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    head_dim=16, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.15,
)
GROUP = dict(strategy="group", group_size=32)
TOKENS = dict(num_bits=8, type="int", strategy="token", dynamic=True)
INTO = {
    "int4-group": ("pack-quantized", dict(num_bits=4, **GROUP), None),
    "int4-group-zeros": ("pack-quantized", dict(num_bits=4, symmetric=False, **GROUP), None),
    "int8-group": ("pack-quantized", dict(num_bits=8, **GROUP), None),
    "int3-channel-zeros": ("pack-quantized", dict(num_bits=3, symmetric=False, strategy="channel"), None),
    "int4-tensor": ("pack-quantized", dict(num_bits=4, strategy="tensor"), None),
    "int8-channel": ("int-quantized", dict(num_bits=8, strategy="channel"), None),
    "int8-channel-dynamic": ("int-quantized", dict(num_bits=8, strategy="channel"), TOKENS),
    "int8-tensor": ("int-quantized", dict(num_bits=8, strategy="tensor"), None),
    "int8-channel-zeros": ("int-quantized", dict(num_bits=8, symmetric=False, strategy="channel"), None),
    "naive-int4-group": ("naive-quantized", dict(num_bits=4, **GROUP), None),
    "naive-int4-group-zeros": ("naive-quantized", dict(num_bits=4, symmetric=False, **GROUP), None),
    "fp8-channel": ("float-quantized", dict(num_bits=8, type="float", strategy="channel"), None),
    "fp8-tensor": ("float-quantized", dict(num_bits=8, type="float", strategy="tensor"), None),
    "fp8-block": ("float-quantized", dict(num_bits=8, type="float", strategy="block", block_structure=[16, 32]), None),
    "naive-fp8-channel": ("naive-quantized", dict(num_bits=8, type="float", strategy="channel"), None),
}
OUT = {
    "rtn4": ["rtn:bits=4,group_size=32"],
    "rtn4-zeros": ["rtn:bits=4,group_size=32,symmetric=false"],
    "rtn3": ["rtn:bits=3,group_size=32"],
    "rtn8-channel": ["rtn:bits=8,group_size=0"],
    "fp8": ["fp8"],
    "factors": ["svd:remove=0.2,weighting=none,targets=[re:.*self_attn.*]", "rtn:bits=4,group_size=32,targets=[re:.*mlp.*]"],
}


def bounds(w, args):
    """Smallest and largest weight of what shares a scale."""
    n, k = w.shape
    if args.strategy == "group":
        parts, dims = w.reshape(n, k // args.group_size, args.group_size), [2]
    elif args.strategy == "channel":
        parts, dims = w.reshape(n, 1, k), [2]
    elif args.strategy == "block":
        rows, columns = args.block_structure
        parts, dims = w.reshape(n // rows, rows, k // columns, columns).transpose(1, 2), [2, 3]
    else:
        parts, dims = w.reshape(1, 1, -1), [2]
    low, high = parts.amin(dims), parts.amax(dims)
    return (low.reshape(1), high.reshape(1)) if args.strategy == "tensor" else (low, high)


def quantized(format, weights, activations):
    torch.manual_seed(1)
    model = LlamaForCausalLM(CONFIG).eval()
    group = {"targets": ["Linear"], "weights": weights, "input_activations": activations, "format": format}
    config = QuantizationConfig(config_groups={"group_0": group}, ignore=["lm_head"], format=format)
    apply_quantization_config(model, config)
    for module in model.modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is None or not isinstance(module, torch.nn.Linear):
            continue
        scale, zero = calculate_qparams(*bounds(module.weight.data, scheme.weights), scheme.weights)
        module.weight_scale.data.copy_(scale.reshape(module.weight_scale.shape))
        if hasattr(module, "weight_zero_point"):
            module.weight_zero_point.data.copy_(zero.reshape(module.weight_zero_point.shape))
    return model


def decompressed(folder):
    """The model as compressed-tensors itself reads it, linear by linear, activations aside; transformers 5.24 cannot load its
    packed zero points."""
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    group = next(iter(config["config_groups"].values()))
    scheme = QuantizationScheme.model_validate(group)
    compressor = BaseCompressor.get_value_from_registry(group["format"])
    tensors = load_file(folder / "model.safetensors")
    state = {name: tensor for name, tensor in tensors.items() if "weight_" not in name}
    for scale in [name for name in tensors if name.endswith(".weight_scale")]:
        module = scale.removesuffix("weight_scale")
        parts = {name.removeprefix(module): tensor for name, tensor in tensors.items() if name.startswith(module)}
        state[module + "weight"] = compressor.decompress(parts, scheme)["weight"]
    model = LlamaForCausalLM(CONFIG)
    model.load_state_dict(state)
    return model.eval()


def golden(command, folder, ids):
    group = json.loads((folder / "config.json").read_text())["quantization_config"]["config_groups"]["group_0"]
    packed = group["format"] == "pack-quantized" and not group["weights"]["symmetric"]
    by_library = packed or group["input_activations"] is not None
    model = decompressed(folder) if by_library else AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(ids).logits[0]
        greedy = model.generate(ids, max_new_tokens=20, do_sample=False, eos_token_id=None)[0, LENGTH:]
    numbers = {"ids": ids[0].tolist(), "logits": logits.tolist(), "greedy": greedy.tolist()}
    dense = folder.parent / "dense" / folder.name
    lithe(command, "export", folder, "--to", "dense", "-o", dense, "--force")
    (dense / "golden.json").write_text(json.dumps(numbers))
    print(folder.name, f"largest logit {logits.abs().max():.2f}", flush=True)


def save_tokenizer(folder):
    tokenizer = Tokenizer(models.WordLevel({f"t{i}": i for i in range(VOCAB)}, unk_token="t0"))
    tokenizer.save(str(folder / "tokenizer.json"))


def lithe(*arguments):
    subprocess.run(list(map(str, arguments)), check=True, stdout=subprocess.DEVNULL)


def main(command, root):
    (root / "dense").mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    ids = torch.randint(3, VOCAB, [1, LENGTH])
    for name, scheme in INTO.items():
        folder = root / f"in-{name}"
        model = quantized(*scheme)
        compressor = ModelCompressor.from_pretrained_model(model)
        compressor.compress_model(model)
        model.save_pretrained(folder)
        compressor.update_config(folder)
        save_tokenizer(folder)
        golden(command, folder, ids)
    plain = root / "plain"
    torch.manual_seed(1)
    LlamaForCausalLM(CONFIG).save_pretrained(plain)
    save_tokenizer(plain)
    for name, stages in OUT.items():
        small = root / f"small-{name}"
        folder = root / f"out-{name}"
        options = [option for stage in stages for option in ("--stage", stage)]
        lithe(command, "compress", plain, "-o", small, "--no-evaluate", "--force", *options)
        lithe(command, "export", small, "--to", "compressed-tensors", "-o", folder, "--force")
        golden(command, folder, ids)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve())

"""gptq_awq_layouts.py LITHE FOLDER

Holds Lithe's GPTQ and AWQ folders against a reader and writer of those layouts in numpy, written from their description alone: a
tiny random Llama in each layout, which Lithe must turn into the same floats (export --to dense), bit by bit; and models that
Lithe compressed and exported (export --to gptq), of which the reader must make the floats that Lithe makes of them. LITHE is
target/lithe. Needs numpy and safetensors; Lithe itself never does.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

VOCAB, WIDTH, INNER, LAYERS = 320, 64, 96, 2
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCAB, "hidden_size": WIDTH, "intermediate_size": INNER,
    "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False, "torch_dtype": "float16",
}
LINEARS = {
    "self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (WIDTH // 2, WIDTH), "self_attn.v_proj": (WIDTH // 2, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH), "mlp.gate_proj": (INNER, WIDTH), "mlp.up_proj": (INNER, WIDTH), "mlp.down_proj": (WIDTH, INNER),
}
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
GPTQ = {
    "gptq-4-sym": dict(bits=4, group_size=32, sym=True, desc_act=False, checkpoint_format="gptq"),
    "gptq-4": dict(bits=4, group_size=32, sym=False, desc_act=False, checkpoint_format="gptq"),
    "gptq-4-v2": dict(bits=4, group_size=32, sym=False, desc_act=False, checkpoint_format="gptq_v2"),
    "gptq-4-act": dict(bits=4, group_size=16, sym=False, desc_act=True, checkpoint_format="gptq"),
    "gptq-3": dict(bits=3, group_size=32, sym=False, desc_act=False, checkpoint_format="gptq"),
    "gptq-2": dict(bits=2, group_size=32, sym=False, desc_act=False, checkpoint_format="gptq"),
    "gptq-8-channel": dict(bits=8, group_size=-1, sym=True, desc_act=False, checkpoint_format="gptq"),
}
OUT = {
    "out-4": "rtn:bits=4,group_size=32", "out-4-zeros": "rtn:bits=4,group_size=16,symmetric=false", "out-3": "rtn:bits=3,group_size=32",
    "out-8": "rtn:bits=8,group_size=32,ignore=[]",
}


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
    """(R, C) codes as streams of bits along the last axis, lowest first, in 32-bit words."""
    stream = (codes[:, :, None] >> np.arange(bits)) & 1
    stream = stream.reshape(len(codes), -1)
    stream = np.pad(stream, [(0, 0), (0, -stream.shape[1] % 32)])
    return np.packbits(stream.astype(np.uint8), axis=1, bitorder="little").view(np.int32)


def unpack(words: np.ndarray, bits: int, count: int) -> np.ndarray:
    stream = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")[:, : count * bits]
    return (stream.reshape(len(words), count, bits).astype(np.int64) << np.arange(bits)).sum(2)


def awq_words(codes: np.ndarray) -> np.ndarray:
    eights = codes.reshape(len(codes), -1, 8)[:, :, AWQ_ORDER].astype(np.uint32)
    return np.ascontiguousarray((eights << (4 * np.arange(8, dtype=np.uint32))).sum(2, dtype=np.uint32)).view(np.int32)


def random_linear(rng, n: int, k: int, settings: dict) -> tuple:
    """Codes, zero points, scales and each column's group; zero points from 1 on, for 0 less 1 is read in two ways."""
    bits, size = settings["bits"], settings["group_size"] if settings["group_size"] > 0 else k
    groups = k // size
    u = rng.integers(0, 2**bits, (n, k))
    z = np.full((n, groups), 2 ** (bits - 1)) if settings["sym"] else rng.integers(1, 2**bits, (n, groups))
    s = rng.uniform(0.01, 0.1, (n, groups)).astype(np.float16)
    group = np.arange(k) // size
    return u, z, s, rng.permutation(group) if settings["desc_act"] else group


def weights(u, z, s, group) -> np.ndarray:
    return (u - z[:, group]).astype(np.float32) * s[:, group].astype(np.float32)


def in_gptq(linear: tuple, settings: dict) -> dict:
    u, z, s, group = linear
    stored = z - (settings["checkpoint_format"] == "gptq")
    turned = np.ascontiguousarray
    return {
        "qweight": turned(pack(u, settings["bits"]).T), "qzeros": pack(stored.T, settings["bits"]), "scales": turned(s.T),
        "g_idx": group.astype(np.int32),
    }


def in_awq(linear: tuple, settings: dict) -> dict:
    u, z, s, _ = linear
    return {"qweight": awq_words(u.T), "qzeros": awq_words(z.T), "scales": np.ascontiguousarray(s.T)}


def write(folder: Path, settings: dict, method: str, layout) -> dict:
    rng = np.random.default_rng(0)
    half = lambda *shape: rng.normal(0, 0.1, shape).astype(np.float16)
    expected = {"model.embed_tokens.weight": half(VOCAB, WIDTH), "lm_head.weight": half(VOCAB, WIDTH), "model.norm.weight": half(WIDTH)}
    tensors = dict(expected)
    for layer in range(LAYERS):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{norm}.weight"] = half(WIDTH)
        for name, (n, k) in LINEARS.items():
            linear = random_linear(rng, n, k, settings)
            module = f"model.layers.{layer}.{name}."
            tensors |= {module + suffix: tensor for suffix, tensor in layout(linear, settings).items()}
            expected[module + "weight"] = weights(*linear)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | {"quantization_config": settings | {"quant_method": method}}))
    save_tokenizer(folder)
    save_file(tensors, folder / "model.safetensors")
    return expected


def save_tokenizer(folder: Path) -> None:
    vocab = {f"t{i}": i for i in range(VOCAB)}
    model = {"type": "WordLevel", "vocab": vocab, "unk_token": "t0"}
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "model": model}))


def read_gptq(folder: Path) -> dict:
    settings = json.loads((folder / "quantize_config.json").read_text())
    bits, tensors = settings["bits"], load_file(folder / "model.safetensors")
    found = {name: tensor for name, tensor in tensors.items() if name.endswith(".weight")}
    for name in [name for name in tensors if name.endswith(".qweight")]:
        module = name.removesuffix("qweight")
        scales, group = tensors[module + "scales"].T, tensors[module + "g_idx"]
        u = unpack(tensors[name].T, bits, len(group))
        z = unpack(tensors[module + "qzeros"], bits, scales.shape[0]).T + (settings["checkpoint_format"] == "gptq")
        found[module + "weight"] = weights(u, z, scales, group)
    return found


def lithe(*arguments) -> None:
    subprocess.run(list(map(str, arguments)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def compare(label: str, expected: dict, found: dict) -> None:
    different = sum(int(np.sum(w.astype(np.float16) != found[name].astype(np.float16))) for name, w in expected.items())
    print(f"{label:15} {different} of {sum(w.size for w in expected.values())} numbers differ", flush=True)


def main(command: str, root: Path) -> None:
    awq = dict(bits=4, group_size=32, sym=False, desc_act=False, zero_point=True, version="gemm")
    cases = [(name, settings, "gptq", in_gptq) for name, settings in GPTQ.items()] + [("awq", awq, "awq", in_awq)]
    for name, settings, method, layout in cases:
        expected = write(root / name, settings, method, layout)
        lithe(command, "export", root / name, "--to", "dense", "-o", root / f"{name}-dense", "--force")
        compare(name, expected, load_file(root / f"{name}-dense" / "model.safetensors"))
    for name, stage in OUT.items():
        small, dense, gptq = (root / f"{name}-{end}" for end in ("small", "dense", "gptq"))
        lithe(command, "compress", root / "gptq-4-sym-dense", "-o", small, "--stage", stage, "--no-evaluate", "--force")
        lithe(command, "export", small, "--to", "dense", "-o", dense, "--force")
        lithe(command, "export", small, "--to", "gptq", "-o", gptq, "--force")
        compare(name, load_file(dense / "model.safetensors"), read_gptq(gptq) | norms(gptq))


def norms(folder: Path) -> dict:
    return {name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if tensor.ndim == 1}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""gguf_types.py LITHE FOLDER

Holds what Lithe reads of GGUF against the gguf package: writes a small random model in every type that Lithe reads (numbers
rounded by the package where it can, else random blocks), lets Lithe export it as a plain folder and as GGUF again, and compares
the folder's weights with the package's own numbers, rounded to float16, and the second file's tensors with the first's, both
bit by bit. LITHE is target/lithe. Needs numpy, safetensors and gguf (pip install gguf); Lithe itself never does.
"""

import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import load_file

TYPES = [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q4_K, Type.Q5_K, Type.Q6_K]
HALVES = {Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}  # where a block's float16 scales lie
VOCAB, WIDTH, INNER, HEADS, KV_HEADS, LAYERS = 512, 256, 512, 8, 4, 2
SHAPES = {
    "attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH // 2, WIDTH), "attn_v": (WIDTH // 2, WIDTH), "attn_output": (WIDTH, WIDTH),
    "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER),
}
NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


def blocks(rng: np.random.Generator, shape: tuple[int, int], kind: Type) -> np.ndarray:
    if kind not in HALVES:
        return gguf.quants.quantize(rng.normal(0, 0.1, shape).astype(np.float32), kind)
    size, length = gguf.GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (shape[0], shape[1] // size, length), dtype=np.uint8)
    for at in HALVES[kind]:
        scale = rng.normal(0, 1e-3, raw.shape[:2]).astype(np.float16)
        raw[:, :, at:at + 2] = scale[..., None].view(np.uint8)
    return raw.reshape(shape[0], -1)


def numbers(raw: np.ndarray, kind: Type) -> np.ndarray:
    return gguf.quants.dequantize(raw, kind)


def halves_first(w: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp pairs neighbouring coordinates of a head where Hugging Face pairs its halves."""
    return w.reshape(heads, w.shape[0] // heads // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def write(path: Path, kind: Type, rng: np.random.Generator) -> dict[str, np.ndarray]:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{i}" for i in range(VOCAB)])
    writer.add_token_types([1] * VOCAB)
    writer.add_token_merges([])
    expected = {}

    def add(name: str, ours: str, shape: tuple[int, int], heads: int = 0) -> None:
        raw = blocks(rng, shape, kind)
        writer.add_tensor(name + ".weight", raw, raw_dtype=kind)
        w = numbers(raw, kind)
        expected[ours + ".weight"] = halves_first(w, heads) if heads else w

    def norm(name: str, ours: str) -> None:
        w = rng.normal(1, 0.1, WIDTH).astype(np.float32)
        writer.add_tensor(name + ".weight", w)
        expected[ours + ".weight"] = w

    add("token_embd", "model.embed_tokens", (VOCAB, WIDTH))
    for layer in range(LAYERS):
        for name, shape in SHAPES.items():
            heads = {"attn_q": HEADS, "attn_k": KV_HEADS}.get(name, 0)
            add(f"blk.{layer}.{name}", f"model.layers.{layer}.{NAMES[name]}", shape, heads)
        norm(f"blk.{layer}.attn_norm", f"model.layers.{layer}.input_layernorm")
        norm(f"blk.{layer}.ffn_norm", f"model.layers.{layer}.post_attention_layernorm")
    norm("output_norm", "model.norm")
    add("output", "lm_head", (VOCAB, WIDTH))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


def lithe(command: str, source: Path, form: str, target: Path) -> None:
    subprocess.run([command, "export", source, "--to", form, "-o", target, "--force"], check=True, stdout=subprocess.DEVNULL)


def main(command: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for kind in TYPES:
        source, again, dense = (folder / f"{kind.name}{end}" for end in (".gguf", "-again.gguf", "-dense"))
        expected = write(source, kind, rng)
        lithe(command, source, "dense", dense)
        lithe(command, source, "gguf", again)
        found = load_file(dense / "model.safetensors") if kind != Type.BF16 else None
        different = 0
        for name, w in expected.items() if found is not None else ():
            rounded = w.astype(found[name].dtype)
            different += int(np.sum(rounded.view(np.uint8) != found[name].view(np.uint8)))
        first = {tensor.name: tensor for tensor in gguf.GGUFReader(source).tensors}
        second = {tensor.name: tensor for tensor in gguf.GGUFReader(again).tensors}
        same = first.keys() == second.keys() and all(
            first[name].tensor_type == second[name].tensor_type and np.array_equal(first[name].data, second[name].data)
            for name in first
        )
        count = sum(w.size for w in expected.values())
        checked = f"{different} of {count} numbers differ" if found is not None else "(safetensors' numpy has no bfloat16)"
        print(f"{kind.name:5} {checked}; {len(first)} tensors, bytes {'the same' if same else 'DIFFERENT'} after export")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

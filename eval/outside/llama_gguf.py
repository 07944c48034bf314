"""Writes a Llama-shaped Hugging Face folder of float16 weights as a GGUF file with a vocabulary of made-up words, for
llama.cpp's benchmarks and its server. Needs numpy, safetensors and gguf (pip install gguf). Used here only, never by Lithe.

usage: llama_gguf.py FOLDER FILE.gguf
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def name(tensor: str) -> str:
    outside = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    if tensor in outside:
        return outside[tensor]
    _, _, block, rest = tensor.split(".", 3)
    return f"blk.{block}.{NAMES[rest.removesuffix('.weight')]}.weight"


def interleaved(w: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp pairs neighbouring coordinates of a head where Hugging Face pairs its halves."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def main(folder: Path, file: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2, *[gguf.TokenType.BYTE] * 256]
    rest = config["vocab_size"] - len(words)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*words, *(f"w{word}" for word in range(rest))])
    writer.add_token_scores([0.0] * config["vocab_size"])
    writer.add_token_types([*kinds, *[gguf.TokenType.NORMAL] * rest])
    for shard in sorted(folder.glob("*.safetensors")):
        for tensor, w in load_file(shard).items():
            if ".q_proj." in tensor or ".k_proj." in tensor:
                w = interleaved(w, heads if ".q_proj." in tensor else kv_heads)
            writer.add_tensor(name(tensor), w.astype(np.float32) if w.ndim == 1 else w)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

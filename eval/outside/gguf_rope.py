"""gguf_rope.py LITHE MODEL TEXT FOLDER [TOKENS] [CONTEXT]

Holds stretched rotary positions in GGUF against llama.cpp: gives copies of MODEL (a Llama folder) each kind of `rope_scaling`,
exports them, and prints the perplexity of each file in llama.cpp (gguf_perplexity.py), in Lithe, and of the folder in Lithe; all
beyond the context that the stretch starts from. LITHE is target/lithe. Needs llama-cpp-python; Lithe itself never does.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ORIGINAL = 128
KINDS = {
    "none": None,
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0},
    "yarn-magnitude": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.5},
    "yarn-pairs": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 8.0, "truncate": False},
    "longrope": {"rope_type": "longrope", "attention_factor": 1.2},
}


def perplexity_there(file: Path, text: str, tokens: str, context: str) -> float:
    script = Path(__file__).with_name("gguf_perplexity.py")
    done = subprocess.run([sys.executable, script, file, text, tokens, context], check=True, capture_output=True, text=True)
    return float(re.search(r"perplexity ([\d.]+)", done.stdout).group(1))


def main(command: str, model: str, text: str, folder: Path, tokens: str = "8192", context: str = "1024") -> None:
    for name, scaling in KINDS.items():
        copy, file = folder / name, folder / f"{name}.gguf"
        shutil.copytree(model, copy, dirs_exist_ok=True)
        config = json.loads((copy / "config.json").read_text())
        config["max_position_embeddings"] = 2048
        if scaling:
            pairs = config["hidden_size"] // config["num_attention_heads"] // 2
            if name == "longrope":
                scaling |= {key: [1 + pair / 4 for pair in range(pairs)] for key in ("short_factor", "long_factor")}
            config["rope_scaling"] = scaling | {"original_max_position_embeddings": 2048 if name == "longrope" else ORIGINAL}
        (copy / "config.json").write_text(json.dumps(config))
        subprocess.run([command, "export", copy, "--to", "gguf", "-o", file, "--force"], check=True, stdout=subprocess.DEVNULL)
        done = subprocess.run(
            [command, "evaluate", copy, file, "--text", text, "--tokens", tokens, "--score", "second-half", "--context", context,
             "--latency-pairs", "0", "--json"], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        here = [variant["perplexity"]["value"] for variant in json.loads(done.stdout)["variants"]]
        there = perplexity_there(file, text, tokens, context)
        print(f"{name}: {there:.4f} in llama.cpp, {here[1]:.4f} in Lithe, {here[0]:.4f} as a folder", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), *sys.argv[5:])

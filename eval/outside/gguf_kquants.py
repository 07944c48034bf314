"""gguf_kquants.py LITHE MODEL TEXT FOLDER [CONTEXT]

Holds the K-quants that Lithe makes of MODEL against those of llama.cpp's own quantizer (`pure` where one type is for every matrix)
of the same float16 file: the types of the matrices, weighted error, perplexity in llama.cpp by gguf_perplexity.py's protocol.
Lithe's files are also read by the gguf package and by Lithe, whose numbers must be the same. LITHE is target/lithe. Needs numpy,
safetensors, gguf and llama-cpp-python; Lithe itself never does.
"""

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from safetensors.numpy import load_file

# numbers of a group, llama.cpp's number of the file type
TYPES = {"q4_k": (32, 14), "q5_k": (32, 16), "q6_k": (16, 18), "q4_k_m": (32, 15), "q5_k_m": (32, 17)}


SILENT = llama_cpp.llama_log_callback(lambda *_: None)
llama_cpp.llama_log_set(SILENT, ctypes.c_void_p())


def lithe(command: str, *arguments: object) -> None:
    subprocess.run([command, "export", *map(str, arguments), "--force"], check=True, stdout=subprocess.DEVNULL)


def quantize(source: Path, target: Path, kind: int, pure: bool) -> None:
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.pure, params.nthread = kind, pure, 2
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)):
        raise RuntimeError(f"llama.cpp cannot quantize {source}")


def matrices(file: Path) -> dict[str, np.ndarray]:
    tensors = (tensor for tensor in gguf.GGUFReader(file).tensors if len(tensor.shape) == 2)
    return {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in tensors}


def types(file: Path) -> dict[str, object]:
    return {tensor.name: tensor.tensor_type for tensor in gguf.GGUFReader(file).tensors}


def error(exact: dict[str, np.ndarray], found: dict[str, np.ndarray], group: int) -> tuple[float, float]:
    """Root mean square over that of the weights, plain and by what an error costs the types' authors."""
    plain, costly, norm, all_cost = 0.0, 0.0, 0.0, 0.0
    for name, w in exact.items():
        x = w.astype(np.float64).reshape(-1, group)
        e = (found[name].astype(np.float64).reshape(-1, group) - x) ** 2
        cost = x ** 2 if group == 16 else np.abs(x) + np.sqrt((x ** 2).mean(1, keepdims=True))
        plain, costly = plain + e.sum(), costly + (cost * e).sum()
        norm, all_cost = norm + (x ** 2).sum(), all_cost + (cost * x ** 2).sum()
    return (plain / norm) ** 0.5, (costly / all_cost) ** 0.5


def perplexity(file: Path, text: str, context: str) -> str:
    script = Path(__file__).with_name("gguf_perplexity.py")
    done = subprocess.run([sys.executable, script, file, text, "100000", context], check=True, capture_output=True, text=True)
    return re.search(r"perplexity ([\d.]+)", done.stdout).group(1)


def read_alike(command: str, file: Path, folder: Path, found: dict[str, np.ndarray]) -> bool:
    """Numbers that need no other order of rows: the embedding and each block's down projection."""
    lithe(command, file, "--to", "dense", "-o", folder)
    ours = load_file(folder / "model.safetensors")
    names = {"token_embd.weight": "model.embed_tokens.weight"}
    names |= {name: f"model.layers.{name.split('.')[1]}.mlp.down_proj.weight" for name in found if "ffn_down" in name}
    return all(np.array_equal(found[name].astype(np.float16), ours[mine]) for name, mine in names.items())


def main(command: str, model: str, text: str, folder: Path, context: str = "256") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    plain = folder / "f16.gguf"
    lithe(command, model, "--to", "gguf", "--type", "f16", "-o", plain)
    exact = matrices(plain)
    print(f"f16: perplexity {perplexity(plain, text, context)}")
    for name, (group, kind) in TYPES.items():
        ours, theirs = folder / f"{name}.gguf", folder / f"{name}-llama.gguf"
        lithe(command, model, "--to", "gguf", "--type", name, "-o", ours)
        quantize(plain, theirs, kind, not name.endswith("_m"))
        for file in (ours, theirs):
            found = matrices(file)
            rms, costly = error(exact, found, group)
            print(f"{file.name}: {file.stat().st_size} bytes, error {rms:.6f}, weighted {costly:.6f}, "
                  f"perplexity {perplexity(file, text, context)}")
        print(f"{ours.name}: types as llama.cpp's: {types(ours) == types(theirs)}")
        print(f"{ours.name}: numbers alike in gguf-py and Lithe: {read_alike(command, ours, folder / name, matrices(ours))}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), *sys.argv[5:])

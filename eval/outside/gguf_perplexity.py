#!/usr/bin/env python3
"""gguf_perplexity.py FILE.gguf TEXT [TOKENS] [CONTEXT]

Perplexity of a GGUF file in llama.cpp by its own protocol, as `lithe evaluate --score second-half` has it: the text is tokenized
by llama.cpp from what the file holds, the first id of each window becomes BOS, its second half is scored. Needs
llama-cpp-python, which Lithe itself never does.
"""
import sys
from pathlib import Path

import numpy as np
from llama_cpp import Llama, llama_cpp as library

defaults = library.llama_model_default_params


def without_repacking():
    """llama-cpp-python 0.3.36 crashes here where it lays Q4_0 and Q8_0 out anew; why was not looked into."""
    parameters = defaults()
    parameters.use_extra_bufts = False
    return parameters


library.llama_model_default_params = without_repacking

file, text = sys.argv[1], Path(sys.argv[2]).read_bytes()
limit = int(sys.argv[3]) if len(sys.argv) > 3 else 100_000
context = int(sys.argv[4]) if len(sys.argv) > 4 else 256
llm = Llama(file, n_ctx=context, n_batch=context, logits_all=True, n_threads=1, verbose=False)
ids = llm.tokenize(text, add_bos=True, special=False)[:limit]
loss, count = 0.0, 0
for first in range(0, len(ids) - context + 1, context):
    window = [llm.token_bos(), *ids[first + 1 : first + context]]
    llm.reset()
    llm.eval(window)
    rows = np.asarray(llm.scores[: context], dtype=np.float64)[context // 2 : context - 1]
    targets = window[context // 2 + 1 :]
    top = rows.max(1)
    loss += float(np.sum(top + np.log(np.exp(rows - top[:, None]).sum(1)) - rows[np.arange(len(targets)), targets]))
    count += len(targets)
print(f"{Path(file).name}: perplexity {np.exp(loss / count):.4f}, {count} tokens scored of {len(ids)}, first ids {ids[:8]}")

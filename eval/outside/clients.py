"""Speaks to a running `lithe serve` through clients that others wrote.

    pip install openai 'tritonclient[grpc]'
    python eval/outside/clients.py [--http 127.0.0.1:8080] [--grpc 127.0.0.1:9000] [--chat VARIANT]
"""
import argparse
import queue

import numpy as np
import openai
import tritonclient.grpc as triton

arguments = argparse.ArgumentParser()
arguments.add_argument("--http", default="127.0.0.1:8080")
arguments.add_argument("--grpc", default="127.0.0.1:9000")
arguments.add_argument("--chat", help="a variant with a chat template")
arguments = arguments.parse_args()

PROMPT = "Once upon a time"


def openai_client():
    client = openai.OpenAI(base_url=f"http://{arguments.http}/v1", api_key="none", max_retries=0)
    models = [model.id for model in client.models.list()]
    print("models            ", models)
    variant = models[0]
    whole = client.completions.create(model=variant, prompt=PROMPT, max_tokens=16, temperature=0, logprobs=2)
    print("completion        ", repr(whole.choices[0].text), whole.choices[0].finish_reason, whole.usage.total_tokens)
    assert len(whole.choices[0].logprobs.tokens) == 16
    text, usage = "", None
    for event in client.completions.create(
        model=variant, prompt=PROMPT, max_tokens=16, temperature=0, stream=True, stream_options={"include_usage": True}
    ):
        text += event.choices[0].text if event.choices else ""
        usage = event.usage or usage
    assert text == whole.choices[0].text, text
    print("stream            ", "the same text,", usage.completion_tokens, "tokens")
    several = client.completions.create(model=variant, prompt=["The dog", "A cat"], n=2, max_tokens=4, seed=1)
    print("two prompts, n = 2", [choice.index for choice in several.choices])
    for what, call in {
        "unknown model": lambda: client.completions.create(model="nobody", prompt="x"),
        "negative temperature": lambda: client.completions.create(model=variant, prompt="x", temperature=-1),
        "no chat template": lambda: client.chat.completions.create(
            model=variant, messages=[{"role": "user", "content": "x"}]
        ),
    }.items():
        try:
            call()
            raise AssertionError(what)
        except openai.APIStatusError as error:
            print(f"{what:18}", type(error).__name__, error.status_code, error.body["message"][:60])
    if arguments.chat:
        messages = [{"role": "user", "content": PROMPT}]
        chat = client.chat.completions.create(
            model=arguments.chat, messages=messages, max_completion_tokens=16, temperature=0, logprobs=True, top_logprobs=2
        )
        print("chat              ", repr(chat.choices[0].message.content), len(chat.choices[0].logprobs.content))
        text = ""
        for event in client.chat.completions.create(
            model=arguments.chat, messages=messages, max_completion_tokens=16, temperature=0, stream=True
        ):
            text += (event.choices[0].delta.content or "") if event.choices else ""
        assert text == chat.choices[0].message.content, text
        print("chat stream       ", "the same text")
    return variant, whole.choices[0].text


def tensor(name, value, kind):
    array = np.array([value], dtype=object if kind == "BYTES" else None)
    types = {"INT32": np.int32, "FP32": np.float32, "BOOL": bool}
    array = array if kind == "BYTES" else array.astype(types[kind])
    made = triton.InferInput(name, [1], kind)
    made.set_data_from_numpy(array)
    return made


def triton_client(variant, expected):
    client = triton.InferenceServerClient(arguments.grpc)
    print("live, ready       ", client.is_server_live(), client.is_server_ready(), client.is_model_ready(variant))
    print("metadata          ", [one.name for one in client.get_model_metadata(variant).inputs])
    inputs = [
        tensor("text_input", PROMPT.encode(), "BYTES"),
        tensor("max_tokens", 16, "INT32"),
        tensor("temperature", 0.0, "FP32"),
    ]
    result = client.infer(variant, inputs, request_id="one")
    text = result.as_numpy("text_output")[0].decode()
    assert text == expected, text
    print("infer             ", "the same text,", result.as_numpy("finish_reason")[0].decode())
    responses = queue.Queue()
    client.start_stream(lambda result, error: responses.put((result, error)))
    client.async_stream_infer(variant, inputs + [tensor("streaming", True, "BOOL")], request_id="two")
    text, pieces = "", 0
    while True:
        result, error = responses.get(timeout=60)
        assert error is None, error
        text += result.as_numpy("text_output")[0].decode()
        pieces += 1
        if result.get_response().parameters["triton_final_response"].bool_param:
            break
    assert text == expected, text
    print("stream infer      ", "the same text in", pieces, "pieces")
    client.async_stream_infer("nobody", inputs, request_id="three")
    print("stream error      ", responses.get(timeout=60)[1])
    client.stop_stream()


triton_client(*openai_client())

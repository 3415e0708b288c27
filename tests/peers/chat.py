"""A question about a picture, as OpenInference's instrumentation of the OpenAI client writes it into a span."""

import json

import httpx
from openai import OpenAI
from openinference.instrumentation import TraceConfig
from openinference.instrumentation.openai import OpenAIInstrumentor

from running import Quiet, serve

QUESTION = "What is in this picture?"


class Model(Quiet):
    """A model that sees nothing."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "The sun goes down behind a hill."}
        answer = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 1105, "completion_tokens": 9, "total_tokens": 1114},
        }
        self.reply(200, "application/json", json.dumps(answer).encode())


def client_of(provider, port):
    """A client of a model at this port, whose spans go to the provider."""
    serve(port, Model)
    # OpenInference cuts pictures of more than 32,000 characters off, unless it is told not to.
    config = TraceConfig(base64_image_max_length=100_000_000)
    OpenAIInstrumentor().instrument(tracer_provider=provider, config=config)
    return OpenAI(
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key="none",
        http_client=httpx.Client(trust_env=False),
    )


def ask(client, text):
    """`text` is the base64 of a PNG."""
    content = [
        {"type": "text", "text": QUESTION},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}},
    ]
    client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": content}]
    )

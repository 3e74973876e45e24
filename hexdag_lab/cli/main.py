"""The command itself: reads the words, does the one that was asked for, and turns every error into a line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence

from ..core.base.errors import HexdagError, RunFailed
from . import auditing, deciding, doctor, new, outside, running, service, storing, watching, workers
from .commands import Commands

MODULES = (new, running, service, workers, watching, deciding, outside, auditing, storing, doctor)


def parser() -> argparse.ArgumentParser:
    """What the command takes: a parser with one part for each of its commands."""
    return Commands.of(*MODULES).parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = parser().parse_args(arguments)
    if threading.current_thread() is threading.main_thread():  # a plain kill ends as Ctrl-C does: nothing stays behind
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except RunFailed as error:
        print(f"hexdag-lab: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (HexdagError, ValueError, TimeoutError, OSError) as error:
        print(f"hexdag-lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        run = getattr(options, "started", None)
        how = f"`hexdag-lab attach {run}` goes on with it" if run else "`hexdag-lab runs` lists what can be attached"
        print(f"\nhexdag-lab: interrupted; {how}", file=sys.stderr)
        return 130
    return code

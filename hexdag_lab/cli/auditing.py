"""Commands for who has to prove something: `audit`, `key`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .commands import Commands, must_exist, screen


def add(commands: Commands) -> None:
    """Add them to the parser."""
    commands.add("key", _key, "print the public half of the key in a file, which is made if it is not there", "file")
    audit = commands.add("audit", _audit, "whether a run's journal is as it was written, and who approved what", "run")
    audit.add_argument("--head", default=None, metavar="FILE", help="hold it against a head that was saved before")
    audit.add_argument("--save", default=None, metavar="FILE", help="save the head, to be kept elsewhere")
    audit.add_argument("--blobs", default=None, metavar="URL", help="where older rows are; default: beside the store")
    audit.add_argument("--json", action="store_true", help="print all of it as JSON")


def _key(options: argparse.Namespace) -> int:
    from ..runtime.keys import public_half
    from ..runtime.seal import make_secret, secret_of

    path = Path(options.file)
    if not path.exists():
        make_secret(path, "the key")
    print(public_half(secret_of(path, "the key")))
    return 0


def _audit(options: argparse.Namespace) -> int:
    from ..lab.audit import audit, save_head
    from ..views import audited

    must_exist(options.store)
    report = audit(options.store, options.run, options.head, options.blobs)
    if options.json:
        print(audited.as_json(report))
    else:
        screen().print(audited.as_text(report), soft_wrap=True)
    if options.save:
        save_head(report, options.save)
    return 1 if report.findings else 0

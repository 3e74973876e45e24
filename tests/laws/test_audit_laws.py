"""Audits of whole journals: nothing is found in what nobody touched, and no changed byte is missed."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexdag_lab.runtime import chain, wire
from hexdag_lab.runtime.audit import Report, audited
from hexdag_lab.runtime.batch import summary
from hexdag_lab.runtime.keys import public_half
from hexdag_lab.runtime.seal import Seal
from hexdag_lab.runtime.stores.memory import MemoryStore
from hexdag_lab.testing.outcome import Outcome
from hexdag_lab.testing.world import World

SEAL = Seal(bytes(32))
KEY = public_half(SEAL.signer)


@cache
def outcome(seed: int) -> Outcome:
    return World(seed).run()


def commits(seed: int) -> list[list[bytes]]:
    """The journal of a simulated world, in commits of one to five rows."""
    rows, rng, found = list(outcome(seed).journal), Random(seed), []
    while rows:
        many = rng.randint(1, 5)
        found.append(rows[:many])
        rows = rows[many:]
    return found


def audit(seed: int, written: list[list[bytes]], rows: list[bytes]) -> Report:
    """The audit of a store in which some rows were committed, and others are there now."""

    async def look() -> Report:
        state = outcome(seed).state
        links = [chain.begin(state.run)]
        for commit in written:
            links.append(chain.linked(links[-1], commit))
        row = {**summary(state), "head": chain.packed_head(chain.signed_head(state.run, links[-1], state.at, SEAL))}
        store = MemoryStore()
        await store.open()
        await store.commit(
            puts={wire.summary(state.run): json.dumps(row).encode()},
            append={wire.journal(state.run): rows, wire.chain(state.run): [chain.pack(link) for link in links[1:]]},
        )
        return await audited(store, state.run, KEY)

    return asyncio.run(look())


@pytest.mark.parametrize("seed", range(12))
def test_the_journal_of_a_whole_world_has_no_findings(seed: int) -> None:
    written = commits(seed)
    report = audit(seed, written, [row for commit in written for row in commit])
    assert (report.findings, report.notes) == ((), ())
    assert len(report.outcomes) == len(outcome(seed).state.proposals)


@settings(max_examples=40)
@given(st.integers(0, 3), st.data())
def test_no_changed_byte_in_a_journal_is_missed(seed: int, data: st.DataObject) -> None:
    written = commits(seed)
    rows = [row for commit in written for row in commit]
    at = data.draw(st.integers(0, len(rows) - 1), "row")
    row = bytearray(rows[at])
    row[data.draw(st.integers(0, len(row) - 1), "byte")] ^= data.draw(st.integers(1, 255), "change")
    rows[at] = bytes(row)
    found = audit(seed, written, rows).findings
    starts = [1]
    for commit in written:
        starts.append(starts[-1] + len(commit))
    (first,) = [seq for seq, after in pairwise(starts) if seq <= at + 1 < after]
    assert any(finding.seq == first and "not as written" in finding.text for finding in found), "in its commit"
    assert all(finding.seq >= first for finding in found), "and nothing before it"


@settings(max_examples=40)
@given(st.integers(0, 3), st.data())
def test_no_row_that_is_gone_moved_or_doubled_is_missed(seed: int, data: st.DataObject) -> None:
    written = commits(seed)
    rows = [row for commit in written for row in commit]
    one, two = sorted((data.draw(st.integers(0, len(rows) - 1), "row"), data.draw(st.integers(0, len(rows) - 1), "to")))
    how = data.draw(st.sampled_from(["remove", "swap", "double", "cut"]))
    changed = {
        "remove": [*rows[:one], *rows[one + 1 :]],
        "swap": [*rows[:one], rows[two], *rows[one + 1 : two], *([rows[one]] if two > one else []), *rows[two + 1 :]],
        "double": [*rows[: one + 1], *rows[one:]],
        "cut": rows[:one],
    }[how]
    found = audit(seed, written, changed).findings
    assert bool(found) == (changed != rows)

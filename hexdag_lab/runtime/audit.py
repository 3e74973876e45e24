"""The audit of a run: whether its journal is what was written, and who approved what, by which proof.

It reads the store alone and believes nothing of it. Four things are held against each other: the rows and the chain
over them; the chain and its signed head; each ballot and proposal and its agent's signature; each version and the votes
that it follows from. What is wrong is a `Finding` with the row where it shows; what can only not be told is a note.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..core.base.codec import loads
from ..core.base.errors import Refused, SchemaError
from ..core.machine import events as ev
from ..core.machine import messages as ms
from ..core.machine.asking import ASKER
from ..core.machine.evolve import evolve
from ..core.machine.signatures import Signable, refused
from ..core.machine.state import RunState
from ..core.votes.agent import Seat
from ..core.votes.ballot import BY_DEFAULT, Ballot, Choice
from ..core.votes.policy import Verdict
from ..core.votes.proposal import Proposal
from ..core.votes.signed import Proof, is_canonical, whole
from ..ports import Blobs, Row, Store
from . import chain
from .batch import summary
from .chain import Link
from .history import Journal
from .keys import good

UNSIGNED = "the seat has no key"


class Finding(NamedTuple):
    """Something that is not as it was written; `seq`: the row where it shows."""

    seq: int
    text: str

    def __str__(self) -> str:
        return f"row {self.seq}: {self.text}"


class Vote(NamedTuple):
    """What somebody said to a proposal and how that is known; the first of a proposal is its proposer's.

    `via`: the door it came by; `key`: the public half of the key it is signed with; `counter`: its signer's counter."""

    proposal: str
    who: str
    said: str
    at: float
    via: str
    proof: str
    key: str = ""
    counter: int = 0


class Outcome(NamedTuple):
    """What became of a proposal: what it changes, its state, who decided, and the version that it became."""

    change: str
    state: str
    by: str
    version: int | None


class Report(NamedTuple):
    """What an audit has seen. `chained`: the first row that the chain covers, 0 if it covers none; `head`: as it stands
    in the store; `outcomes` by proposal."""

    run: str
    rows: int
    links: int
    chained: int
    head: Proof | None
    votes: tuple[Vote, ...]
    outcomes: dict[str, Outcome]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


async def audited(
    store: Store, run: str, lab_key: str | None = None, saved: Proof | None = None, blobs: Blobs | None = None
) -> Report:
    """Audit a run. `lab_key`: the public half that its head has to be signed with; `saved`: a head kept elsewhere;
    `blobs`: where older rows may be.

    Raises `Refused` if there is no such run and no saved head of one, `StoreUnavailable` if it cannot be read."""
    rows, kept, row = await Journal(store, blobs).whole(run)
    if not rows and not kept and row is None and saved is None:
        raise Refused(f"there is no run {run!r} in this store", rule="unknown-run", fix="hexdag-lab runs")
    audit = _Audit(run, rows)
    links = audit.chained(kept)
    head = audit.head(row or b"{}", links, lab_key)
    audit.fold()
    if saved is not None:
        audit.since(saved, links, head)
    audit.notes += audit.unchained(links)
    chained = links[0].after + 1 if links else 0
    findings = tuple(sorted(set(audit.findings)))
    outcomes = {
        p.id: Outcome(p.changeset.summary, p.state.value, p.decided_by, p.version)
        for p in audit.state.proposals.values()
    }
    return Report(run, len(rows), len(links), chained, head, tuple(audit.votes), outcomes, findings, tuple(audit.notes))


class _Audit:
    def __init__(self, run: str, rows: Sequence[Row]) -> None:
        self.run, self.rows = run, rows
        self.state = RunState()
        self.findings, self.notes, self.votes = list[Finding](), list[str](), list[Vote]()
        self.last = rows[-1].seq if rows else 0
        self.keyed = 0  # the first row that gives a seat a key
        self.summary: dict[str, Any] = {}

    def wrong(self, seq: int, text: str) -> None:
        self.findings.append(Finding(seq, text))

    # -- rows and chain

    def chained(self, kept: Sequence[bytes]) -> list[Link]:
        """Hold the rows against the chain; its links."""
        links = list[Link]()
        for data in kept:
            try:
                links.append(chain.unpack(data))
            except SchemaError as error:
                self.wrong(links[-1].seq + 1 if links else 1, f"the link of the chain that follows is damaged: {error}")
        before = chain.begin(self.run, links[0].after) if links else chain.begin(self.run)
        by_seq = {row.seq: row.data for row in self.rows}
        for link in links:
            self._link(before, link, by_seq)
            before = link
        if links and self.last > before.seq:
            self.wrong(
                before.seq + 1, f"{_rows(before.seq + 1, self.last)} not written by a leader: the chain ends before"
            )
        return links

    def _link(self, before: Link, link: Link, by_seq: dict[int, bytes]) -> None:
        if link.after != before.seq:
            text = f"the chain goes from row {before.seq} to row {link.after + 1}: a part of it was removed or replaced"
            self.wrong(min(before.seq, link.after) + 1, text)
        covered = range(link.after + 1, link.seq + 1)
        data = [by_seq[seq] for seq in covered if seq in by_seq]
        if covered and link.after >= self.last:
            return self.wrong(covered[0], f"{_rows(covered[0], link.seq)} missing: the tail was cut off")
        for seq in covered:
            if seq not in by_seq:
                self.wrong(seq, "it is missing")
        if len(data) == len(covered) and chain.linked(before._replace(seq=link.after), data).hash != link.hash:
            what = "it is" if len(covered) == 1 else f"{_rows(covered[0], link.seq)}"
            self.wrong(covered[0], f"{what} not as written: changed, swapped or inserted")
        return None

    def head(self, data: bytes, links: Sequence[Link], lab_key: str | None) -> Proof | None:
        """Hold the chain against its signed head."""
        end = links[-1] if links else None
        try:
            self.summary = json.loads(data)
            if "head" not in self.summary:
                if end is not None:
                    self.wrong(end.seq, "the signed head of the chain is missing")
                return None
            head = chain.unpacked_head(self.summary["head"])
        except (ValueError, TypeError, RecursionError) as error:
            self.wrong(self.last, f"the head of the chain is forged or damaged: {error}")
            return None
        said = head.claims
        if said.get("run") != self.run:
            self.wrong(self.last, f"the head in the store is that of another run, {said.get('run')!r}")
        if lab_key is None:
            self.notes.append(
                f"the head is signed by {head.key[:16]}…; without the lab's key file nobody can tell here whether that "
                "is the lab's key"
            )
        elif head.key != lab_key:
            self.wrong(self.last, f"the head is signed by {head.key[:16]}…, which is not the lab's key {lab_key[:16]}…")
        if end is None or (said.get("seq"), said.get("hash")) != (end.seq, end.hash):
            ends = f"ends at row {end.seq}" if end else "is gone"
            self.wrong(whole(said.get("seq")), f"the signed head says row {said.get('seq')}, and the chain {ends}")
        return head

    def since(self, saved: Proof, links: Sequence[Link], head: Proof | None) -> None:
        """Hold the chain against a head that was kept elsewhere."""
        said = saved.claims
        if said.get("run") != self.run:
            self.wrong(0, f"the saved head is that of another run, {said.get('run')!r}")
        elif (said.get("seq"), said.get("hash")) not in [(link.seq, link.hash) for link in links]:
            text = f"the saved head says row {said.get('seq')}, and the chain of today does not go through it"
            self.wrong(whole(said.get("seq")), f"{text}: it was written anew, or the store was put back")
        if head is not None and head.key != saved.key:
            self.wrong(self.last, f"the saved head is signed by {saved.key[:16]}…, that of today by {head.key[:16]}…")

    def unchained(self, links: Sequence[Link]) -> Iterator[str]:
        """What no chain covers. Whoever gives seats keys also writes a chain: then it was taken away."""
        first = links[0].after + 1 if links else self.last + 1
        if first == 1 or not self.rows:
            return
        where = f"not chained before row {first}" if links else "not chained"
        if self.keyed and self.keyed < first:
            self.wrong(1, f"{where}, though its seats have keys: the chain was taken away")
        else:
            yield f"{where}: written before there were chains, so changes there cannot be found"

    # -- what the rows say

    def fold(self) -> None:
        """Replay the events, each held against the state before it."""
        for row in self.rows:
            why = self._replay(row)
            if why:
                self.wrong(*why)
                return self.notes.append(f"the rows after {row.seq - 1} were not replayed")
        wanted = summary(self.state) if self.state.started else {}
        differ = sorted(key for key, value in wanted.items() if self.summary and self.summary.get(key) != value)
        if differ:
            self.wrong(self.last, f"the run's summary differs from its journal in {', '.join(differ)}")
        return None

    def _replay(self, row: Row) -> Finding | None:
        """Go on by one row; why that is not possible."""
        if row.seq != self.state.seq + 1:
            return Finding(self.state.seq + 1, "it is missing")
        try:
            event = loads(row.data)
            if event.seq != row.seq:
                return Finding(row.seq, f"it holds event {event.seq}: rows were removed, inserted or swapped")
            self._look(event)
            self.state = evolve(self.state, event)
        except SchemaError as error:
            return Finding(row.seq, str(error))
        except Exception as error:  # a damaged journal may break the fold anywhere, and that is a finding
            return Finding(row.seq, f"it does not follow from what is before it ({error!r})")
        return None

    def _look(self, event: Any) -> None:
        match event:
            case ev.RunStarted():
                self._seats(event.seq, event.seats)
            case ev.SeatTaken():
                self._seats(event.seq, [event.seat])
            case ev.ProposalMade():
                self._proposal(event.seq, event.proposal)
            case ev.BallotCast():
                self._ballot(event)
            case ev.ProposalApproved():
                self._approved(event)
            case ev.VersionCommitted():
                self._version(event)

    def _seats(self, seq: int, seats: Iterable[Seat]) -> None:
        for seat in seats:
            old = self.state.seats.get(seat.id)
            self.keyed = self.keyed or (seq if seat.key else 0)
            if old is not None and old.key != seat.key:
                self.notes.append(f"row {seq}: {seat.id} has another key from here, {seat.key[:16] or 'none'}")

    def _proposal(self, seq: int, p: Proposal) -> None:
        sent = p.sent or p.changeset
        base = next((v.digest for v in self.state.versions if v.number == p.base), sent.base)
        sent = type(sent)(base, sent.nodes, sent.edges, sent.handling)
        priority = whole(p.proof.claims.get("priority")) if p.proof else p.priority  # what the role allows is journaled
        m = ms.Propose(
            p.at, p.id, sent, p.by, p.reason, priority, p.apply_from, p.raises, p.in_reply_to, proof=p.proof,
            steers=p.steers,
        )  # fmt: skip
        asks = p.by == ASKER and p.raises is not None and p.proof is None
        proof = "the run says so" if asks else self._signature(seq, m, p.at)
        if p.sent is not None and _net(sent, self.state) != p.changeset.digest:
            self.wrong(seq, f"the change of {p.id} does not follow from the one that {p.by} has signed")
        self.votes.append(_vote(p.id, p.by, "proposed", p.at, "", proof, p.proof))

    def _ballot(self, event: ev.BallotCast) -> None:
        b: Ballot = event.ballot
        if b.choice is Choice.ABSENT and b.via == "lab":
            proof = "the lab says so"
        elif b.via == BY_DEFAULT and b.proof is None:
            proof = self._default(event)
        else:
            m = ms.CastBallot(b.at, event.proposal, b.voter, b.choice, b.reason, b.via, b.nodes, proof=b.proof)
            proof = self._signature(event.seq, m, b.at)
        self.votes.append(_vote(event.proposal, b.voter, b.choice.value, b.at, b.via, proof, b.proof))

    def _default(self, event: ev.BallotCast) -> str:
        """Of a ballot that a deadline has cast: whether it had passed, and whether its voter had said so before."""
        b, electorate = event.ballot, self.state.proposals[event.proposal].electorate
        seat = next((seat for seat in electorate.seats if seat.id == b.voter), None) if electorate else None
        due = self.state.policy.deadline(electorate) if electorate else None
        if seat is not None and seat.otherwise == b.choice and due is not None and b.at >= due:
            return "as its voter had said"
        self.wrong(event.seq, f"the ballot of {b.voter}: no deadline has cast it, nor had its voter said so")
        return "BAD"

    def _signature(self, seq: int, m: Signable, at: float) -> str:
        """In words, by what a message is known to be its agent's."""
        what = f"{'the ballot' if isinstance(m, ms.CastBallot) else 'the proposal'} of {m.by}"
        if m.by not in self.state.seats:
            self.wrong(seq, f"{what}: nobody of that name takes part in the run")
            return "a stranger"
        proof = m.proof
        why = refused(self.state, m, at)
        if proof is not None and not good(proof):
            self.wrong(seq, f"{what}: the signature does not fit what it signs")
        elif proof is not None and not is_canonical(proof.text):
            self.wrong(seq, f"{what}: what was signed is not canonical JSON")
        elif why is not None:
            self.wrong(seq, f"{what}: {why.message}")
        elif proof is None:
            return UNSIGNED
        else:
            return f"signed {proof.key[:12]}…"
        return "BAD"

    def _approved(self, event: ev.ProposalApproved) -> None:
        proposal = self.state.proposals[event.proposal]
        verdict = proposal.tally(self.state.policy, event.at).opinion.verdict
        if verdict not in (Verdict.YES, Verdict.NONE):
            self.wrong(event.seq, f"{proposal.id} was approved, though its ballots say {verdict.value}")

    def _version(self, event: ev.VersionCommitted) -> None:
        proposal = self.state.proposals[event.proposal]
        if proposal.version != event.version:
            became = f"became v{proposal.version}" if proposal.version else f"is {proposal.state}"
            self.wrong(event.seq, f"v{event.version} is said to be {proposal.id}, which {became}")
        if event.version != self.state.version + 1:
            self.wrong(event.seq, f"v{event.version} follows v{self.state.version}")
        if event.changeset.digest != proposal.changeset.digest:
            self.wrong(event.seq, f"v{event.version} is another change than the one that was voted on as {proposal.id}")


def _vote(id_: str, who: str, said: str, at: float, via: str, words: str, proof: Proof | None) -> Vote:
    return Vote(id_, who, said, at, via, words, proof.key if proof else "", proof.counter if proof else 0)


def _net(sent: Any, state: RunState) -> bytes | None:
    """The digest of what a change still does to the head version; None if it does not fit any more."""
    rebased = sent.rebase(state.dag)
    return getattr(rebased, "digest", None)


def _rows(first: int, last: int) -> str:
    return f"row {first} is" if first == last else f"rows {first}-{last} are"

"""A proposal's card as HTML, in parts that change at their own pace: its head counts down, its body stays, its votes
come in. Models in, markup out; all words of others are escaped here.
"""

from __future__ import annotations

import time
from html import escape

from ..core.dag.conflict import Conflict
from ..core.dag.diff import diff
from ..core.machine.state import RunState
from ..core.votes.proposal import Proposal
from . import models, pictures, tally, wording

_TIERS = {tally.LOW: "ok", tally.MIDDLE: "chg", tally.HIGH: "bad"}


def head(state: RunState, proposal: Proposal, now: float, viewer: str = "") -> str:
    """Who wants what, how risky that is, how old it is, what time does to it, and what has become of it meanwhile."""
    c = models.card(state, proposal, now, viewer)
    danger = tally.risk(proposal)
    chip = f'<span class="chip {_TIERS[danger.tier]}" title="{escape(danger.why)}">{danger.tier} risk</span>'
    about = [escape(c.id), escape(c.kind), escape(c.state)]
    if not proposal.terminal:
        about += [f"{wording.age(now - proposal.at)} ago"]
    left = f" · <b>{escape(c.countdown)}</b>" if c.countdown else ""
    line = f'<div class="bar"><b>{escape(c.title)}</b>{chip}</div><div class="dim">{" · ".join(about)}{left}</div>'
    return line + "".join(f"<p><b>{escape(text)}</b></p>" for text in c.standing)


def body(state: RunState, proposal: Proposal, now: float, viewer: str = "") -> str:
    """Why, the change as a picture and line by line, what it does to the work, and the checks."""
    c = models.card(state, proposal, now, viewer)
    parts = []
    if c.reason:
        words = f"words of {escape(wording.clean(proposal.by, 40))}"
        parts.append(f'<p><q>{escape(c.reason)}</q> <span class="dim">{words}</span></p>')
    if proposal.why and proposal.terminal:
        parts.append(f'<p class="dim">{escape(wording.clean(proposal.why, 300))}</p>')
    drawn, lines = (
        picture(state, proposal),
        f'<pre tabindex="0">{"".join(map(changed, c.changes))}</pre>' if c.changes else "",
    )
    parts.append(
        f'<div class="sides change"><div class="wide">{drawn}</div><div>{lines}</div></div>' if drawn else lines
    )
    if c.source:
        parts.append(f"<pre>{''.join(map(changed, c.source))}</pre>")
    checks = " ".join(
        f'<span class="{"ok" if ok else "bad"}">{"✓" if ok else "✕"} {escape(text)}</span>' for ok, text in c.checks
    )
    facts = {
        "Effect": escape(c.effect), "Estimate": escape(c.estimate), "Outlook": escape(c.outlook), "Checks": checks,
    }  # fmt: skip
    parts.append("<dl>" + "".join(f"<dt>{key}</dt><dd>{text}</dd>" for key, text in facts.items() if text) + "</dl>")
    return "".join(parts)


def votes(state: RunState, proposal: Proposal, now: float, viewer: str = "") -> str:
    """Who voted how, with which weight, and who is still needed."""
    c = models.card(state, proposal, now, viewer)
    said = "; ".join(escape(vote) for vote in c.votes) or "no votes yet"
    you = ' <span class="chip chg">needs you</span>' if "you" in tally.needed(state, proposal, viewer) else ""
    return f"<div>{said} — <b>{escape(c.tally)}</b>{you}</div>{bar(tally.share(state, proposal, viewer))}"


def bar(found: tally.Share | None) -> str:
    """The weights as a bar with a tick where the threshold is."""
    if found is None:
        return ""
    words = f"{found.yes:.2f} for, {found.no:.2f} against, {found.needed:.2f} needed"
    return (
        f'<div class="tally" role="img" aria-label="{words}" title="{words}">'
        f'<i class="yes" style="width:{found.yes:.2%}"></i><i class="no" style="width:{found.no:.2%}"></i>'
        f'<i class="tick" style="left:{found.needed:.2%}"></i></div>'
    )


def rules(proposal: Proposal) -> str:
    """What becomes of an approval when the graph moves on meanwhile."""
    if proposal.terminal:
        return ""
    version = proposal.checked or proposal.base
    text = (
        f"If v{version} changes meanwhile: it stays valid while it does the same to the work, else it is voted on anew"
    )
    return f'<p class="dim">{text} and says what changed.</p>'


def card(state: RunState, proposal: Proposal, now: float | None = None, viewer: str = "") -> str:
    """All of it, where it is not to change."""
    at = time.time() if now is None else now
    return "".join(part(state, proposal, at, viewer) for part in (head, body, votes))


def picture(state: RunState, proposal: Proposal) -> str:
    """What it changes of the graph as it is, drawn; empty where it no longer fits, or is too much to draw."""
    if proposal.version is not None and proposal.version <= len(state.versions):
        after, before = state.versions[proposal.version - 1].dag, state.versions[proposal.version - 2].dag
        return pictures.change_svg(diff(before, after))
    rebased = proposal.changeset.rebase(state.dag)
    if proposal.terminal or isinstance(rebased, Conflict) or rebased.target is None:
        return ""
    return pictures.change_svg(diff(state.dag, rebased.target))


def changed(line: str) -> str:
    """A line of a change or a difference, by colour and by sign."""
    kind = {"+": "add", "-": "del", "~": "chg"}.get(line[:1], "")
    return f'<div class="{kind}">{escape(line)}</div>'

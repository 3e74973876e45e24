"""How runs show themselves: a live widget in a kernel, a picture elsewhere. Screens are loaded only when asked."""

from __future__ import annotations

from typing import Any

from ..views.kernel import in_kernel

PLAIN, SVG = "text/plain", "image/svg+xml"


def run_bundle(run: Any) -> dict[str, Any]:
    """A run in all the forms that a front end may know: live, as a picture, as text."""
    from ..views.svg import run_svg

    static = {PLAIN: repr(run), SVG: run_svg(run.feed.state)}
    if in_kernel():
        from ..views.visit import Identity, Visit
        from ..views.widget import RunWidget

        here = Visit(run._lab, Identity(run._lab.owner.id, "notebook"))
        return {**RunWidget(run, here)._repr_mimebundle_(), **static}
    return static


def draft_bundle(draft: Any) -> dict[str, Any]:
    """A draft in all the forms that a front end may know."""
    from ..views.drafts import draft_text
    from ..views.svg import dag_svg

    static = {PLAIN: draft_text(draft), SVG: dag_svg(draft.dag)}
    if in_kernel():
        from ..views.draft_widget import DraftWidget

        return {**DraftWidget(draft)._repr_mimebundle_(), **static}
    return static

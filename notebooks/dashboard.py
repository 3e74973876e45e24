"""The dashboard for `panel serve notebooks/dashboard.py`: the same pages as `hexdag-lab serve`.

It watches the lab of the store in HEXDAG_STORE (default: the one in this directory), also while the notebook that leads
it is busy, and prints an address with the owner's token: without the token a page looks and cannot vote. With
`panel serve --basic-auth`, whoever logs in votes under the login's name; with OAuth, where anybody may log in, only
those whom HEXDAG_LOGINS names: "marie@example.org=marie lea@example.org=lea".
"""

import os

import panel as pn

import hexdag_lab as hx
from hexdag_lab.views import access, dashboard


def lab_and_access() -> tuple[hx.Lab, dict[str, str], dict[str, str] | None]:
    lab = hx.Lab(store=os.environ.get("HEXDAG_STORE", "sqlite:///.hexdag/lab.db"), leader=False)
    tokens = dashboard.tokens_for(lab.owner.id)
    for token, agent in tokens.items():
        print(f"to vote as {agent}, open this page with ?token={token}", flush=True)
    return lab, tokens, access.logins_of(os.environ.get("HEXDAG_LOGINS", "").split())


dashboard.session(*pn.state.as_cached("hexdag-lab", lab_and_access)).servable(title=dashboard.TITLE)

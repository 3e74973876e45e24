"""The dashboard for `panel serve notebooks/dashboard.py`: the same pages as `hexdag-lab serve`.

It watches the lab of the store in HEXDAG_STORE (default: the one in this directory), also while the notebook that leads
it is busy, and prints an address with the owner's token: without the token a page looks and cannot vote. With
`panel serve --basic-auth` or OAuth, whoever logs in votes under the login's name.
"""

import os

import panel as pn

import hexdag_lab as hx
from hexdag_lab.views import dashboard


def lab_and_tokens() -> tuple[hx.Lab, dict[str, str]]:
    lab = hx.Lab(store=os.environ.get("HEXDAG_STORE", "sqlite:///.hexdag/lab.db"), leader=False)
    tokens = dashboard.tokens_for(lab.owner.id)
    for token, agent in tokens.items():
        print(f"to vote as {agent}, open this page with ?token={token}", flush=True)
    return lab, tokens


dashboard.session(*pn.state.as_cached("hexdag-lab", lab_and_tokens)).servable(title=dashboard.TITLE)

"""`hexdag_lab.core.dag` can be taken out and used alone."""

from hexdag_lab.core import dag
from tests.core.processes import output_of

SCRIPT = """
import sys
from pkgutil import iter_modules
from importlib import import_module
import hexdag_lab.core.dag as part

before = {name.partition(".")[0] for name in sys.modules}
for module in iter_modules(part.__path__):
    if module.name != "yaml_text":  # is loaded when a graph is read from YAML, and needs PyYAML
        import_module(f"{part.__name__}.{module.name}")

from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.diff import diff
from hexdag_lab.core.dag.node import NodeSpec, node

@node
def load(path="x"): ...
@node
def fit(load, depth=3): ...

one = Dag.of(load, fit)
two = one.add_node(NodeSpec("report", print).after(fit))
assert Dag.from_json(two.to_json()) == two == one.apply(Changeset.between(one, two)) and diff(one, two)
assert two.waves == (("load",), ("fit",), ("report",)) and two.to_dot()
ours = {name for name in sys.modules if name.startswith("hexdag_lab.")} - {"hexdag_lab.core"}
print(sorted(name for name in ours if not name.startswith(("hexdag_lab.core.dag", "hexdag_lab.core.base"))))
foreign = {name.partition(".")[0] for name in sys.modules} - before - set(sys.stdlib_module_names)
print(sorted(foreign - {"hexdag_lab"}))
"""


def test_nothing_else_of_the_product_is_loaded_and_no_package() -> None:
    assert dag.__doc__
    assert output_of(SCRIPT) == "[]\n[]\n"

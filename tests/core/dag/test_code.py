"""The identity of code: equal behaviour, equal hash; any other change, another hash.

Cells are run as Jupyter runs them: source in `linecache` under a name of its own, all in one namespace.
"""

import linecache
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import lru_cache, partial, wraps
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hexdag_lab.core.base.errors import SchemaError
from hexdag_lab.core.dag import source as source_module
from hexdag_lab.core.dag.code import Code, code_of
from hexdag_lab.core.dag.node import NodeSpec, node

_numbers = count()


class Notebook:
    """A namespace in which cells are run."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}

    def run(self, text: str) -> None:
        text = textwrap.dedent(text)
        name = f"/tmp/ipykernel_7/{next(_numbers)}.py"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), self.names)

    def __getitem__(self, name: str) -> Any:
        return self.names[name]

    def code(self, name: str = "f") -> Code:
        return code_of(self.names[name])


def code(text: str, name: str = "f") -> Code:
    """The code of `f` in a notebook of one cell."""
    notebook = Notebook()
    notebook.run(text)
    found = notebook.code(name)
    assert found.known
    return found


BASE = """
def f(x, y=1):
    total = x + y
    return total * 2
"""


class TestWhatDoesNotMatter:
    @pytest.mark.parametrize(
        "same",
        [
            "# hello\ndef f(x, y=1):\n    # sum\n    total = x + y\n\n    return total * 2  # twice\n",
            "def f(x, y=1):\n    '''What it does.'''\n    total = x + y\n    return total * 2\n",
            "def f(\n    x,\n    y = 1,\n):\n  total = (\n    x + y\n  )\n  return total*2\n",
            "if True:\n    def f(x, y=1):\n        total = x + y\n        return total * 2\n",
            "def f(x, y=1): total = x + y; return total * 2\n",
            "def other(): ...\n\ndef f(x, y=1):\n    total = x + y\n    return total * 2\n",
            "def mark(fn): return fn\n\n@mark\n@mark\ndef f(x, y=1):\n    total = x + y\n    return total * 2\n",
        ],
        ids=["comments", "docstring", "layout", "indentation", "one line", "place", "decorators"],
    )
    def test_it(self, same: str) -> None:
        assert code(same) == code(BASE)

    def test_a_docstring_in_a_function_within(self) -> None:
        a = "def f():\n    def g():\n        'one'\n        return 1\n    return g\n"
        assert code(a) == code(a.replace("'one'", "'two'"))
        assert code(a) == code(a.replace("        'one'\n", ""))

    def test_a_function_that_is_only_documented_does_nothing(self) -> None:
        assert code("def f():\n    'x'\n") == code("def f():\n    pass\n")

    def test_hexadecimal_and_quotes(self) -> None:
        assert code("def f(): return (0x10, 'a' 'b', u'c')\n") == code("def f(): return (16, \"ab\", 'c')\n")


class TestWhatMatters:
    @pytest.mark.parametrize(
        "other",
        [
            BASE.replace("+", "-"),
            BASE.replace("* 2", "* 3"),
            BASE.replace("* 2", "* 2.0"),
            BASE.replace("y=1", "y=2"),
            BASE.replace("y=1", "y=True"),
            BASE.replace("y=1", "*, y=1"),
            BASE.replace("x, y=1", "x, /, y=1"),
            BASE.replace("x, y=1", "x: int, y=1"),
            BASE.replace("total * 2", "[total][0] * 2"),
            BASE.replace("def f", "async def f"),
            BASE.replace("return", "yield"),
            BASE.replace("total = x + y", "total = x + y\n    'a text that is no docstring'"),
            BASE.replace("total = x + y", "total = x + y\n    global z"),
        ],
    )
    def test_it(self, other: str) -> None:
        assert code(other).digest != code(BASE).digest

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("'1'", "1"), ("b'1'", "'1'"), ("b')'", "b'('"), ("None", "False"), ("...", "None"), ("()", "[]"),
            ("1j", "1.0"),
            ("f'{x}'", "f'{x!r}'"), ("f'{x:>3}'", "f'{x:>4}'"), ("f'{x}'", "f' {x}'"), ("f'{x}'", "x"),
            ("{**x}", "{x: x}"), ("x[1:]", "x[:1]"), ("x.a.b", "x.b.a"), ("[i for i in x]", "{i for i in x}"),
            ("not x", "-x"), ("x is x", "x == x"), ("lambda: 1", "lambda: 2"), ("x if x else 1", "1 if x else x"),
        ],
    )  # fmt: skip
    def test_expressions(self, one: str, other: str) -> None:
        assert code(f"def f(x): return {one}\n").digest != code(f"def f(x): return {other}\n").digest

    def test_text_over_several_lines_in_a_function_within(self) -> None:
        """Text keeps its own indentation, however deep the function stands."""
        a = "def make():\n    def f():\n        return '''\n        a\n        '''\n    return f\nf = make()\n"
        assert code(a).digest != code(a.replace("\n        a\n", "\n    a\n")).digest

    def test_decorators_of_functions_within(self) -> None:
        a = "import functools\ndef f():\n    @functools.cache\n    def g(): return 1\n    return g\n"
        assert code(a).digest != code(a.replace("    @functools.cache\n", "")).digest

    def test_match_statements(self) -> None:
        a = "def f(x):\n    match x:\n        case {'a': 1, **rest}: return rest\n        case None: return 1\n"
        assert code(a) == code(a.replace("case {", "case  {"))
        for old, new in (("None", "True"), ("**rest", "**more"), ("'a'", "'b'")):
            assert code(a).digest != code(a.replace(old, new)).digest


class TestWhatItReaches:
    HELPER = "def helper(x):\n    return x + 1\n"
    USER = "def f(x):\n    return helper(x)\n"

    def test_a_helper(self) -> None:
        a = code(self.HELPER + self.USER)
        assert a == code(self.USER + self.HELPER)
        assert a.digest != code(self.HELPER.replace("1", "2") + self.USER).digest

    def test_a_helper_that_is_redefined_in_another_cell(self) -> None:
        notebook = Notebook()
        notebook.run(self.HELPER)
        notebook.run(self.USER)
        first = notebook.code()
        notebook.run(self.HELPER.replace("1", "2"))
        second = notebook.code()
        notebook.run("# as before\n" + self.HELPER)
        assert first.digest != second.digest
        assert notebook.code() == first

    def test_a_helper_of_a_helper(self) -> None:
        notebook = Notebook()
        notebook.run("def inner(): return 1\ndef helper(x): return inner()\n" + self.USER)
        first = notebook.code()
        notebook.run("def inner(): return 2\n")
        assert notebook.code().digest != first.digest

    def test_a_node_used_as_a_function(self) -> None:
        notebook = Notebook()
        notebook.names["node"] = node
        notebook.run("@node(retries=3)\n" + self.HELPER)
        notebook.run("@node\n" + self.USER)
        assert notebook["f"](1) == 2
        first = notebook["f"].spec
        assert first.code.digest == code(self.HELPER + self.USER).digest
        notebook.run("@node\n" + self.HELPER.replace("1", "2"))
        assert notebook["f"].spec.digest != first.digest

    def test_data(self) -> None:
        a = "RATE = 3\ndef f(x): return x * RATE\n"
        assert code(a).digest != code(a.replace("3", "4")).digest
        assert code(a) == code("UNUSED = 1\n" + a)

    def test_data_that_changes_in_place_is_seen(self) -> None:
        notebook = Notebook()
        notebook.run("OPTIONS = {'a': [1]}\ndef f(): return OPTIONS\n")
        first = notebook.code()
        notebook["OPTIONS"]["a"].append(2)
        assert notebook.code().digest != first.digest
        notebook["OPTIONS"]["a"].pop()
        assert notebook.code() == first

    def test_data_that_holds_functions(self) -> None:
        a = "def g(): return 1\ndef h(): return 2\nTABLE = {'g': g, 'h': (h, [g])}\ndef f(k): return TABLE[k]\n"
        assert code(a).digest != code(a.replace("return 2", "return 3")).digest
        assert code(a).digest != code(a.replace("(h, [g])", "(g, [h])")).digest

    def test_a_name_that_is_local_is_no_global(self) -> None:
        a = "data = 1\ndef f(x):\n    data = x.data\n    return data, [data for data in x]\n"
        assert code(a) == code(a.replace("data = 1", "data = 2"))

    def test_a_name_in_a_comprehension_and_outside_of_it(self) -> None:
        a = "i = 1\ndef f(x):\n    return [i for i in x], i\n"
        assert code(a).digest != code(a.replace("i = 1", "i = 2")).digest

    def test_annotations_and_decorators_reach_nothing(self) -> None:
        a = "N = 1\ndef mark(n): return lambda fn: fn\n@mark(N)\ndef f(x: N) -> N: return x\n"
        assert code(a) == code(a.replace("N = 1", "N = 2"))

    def test_defaults(self) -> None:
        a = "N = 1\ndef f(x=N): return x\n"
        assert code(a).digest != code(a.replace("N = 1", "N = 2")).digest
        b = "def g(): return 1\ndef f(*, x=g): return x()\n"
        assert code(b).digest != code(b.replace("return 1", "return 2")).digest

    def test_closures(self) -> None:
        a = "def make(n):\n    def f(x): return x + n\n    return f\nf = make(1)\n"
        assert code(a) == code(a.replace("make(1)", "make(n=1)"))
        assert code(a).digest != code(a.replace("make(1)", "make(2)")).digest

    def test_a_function_in_a_closure(self) -> None:
        a = "def make(g):\n    def f(x): return g(x)\n    return f\ndef one(x): return 1\nf = make(one)\n"
        assert code(a).digest != code(a.replace("return 1", "return 2")).digest

    def test_a_closure_that_is_not_filled_yet(self) -> None:
        def f() -> Any:
            return later

        first = code_of(f)
        later = 1
        assert code_of(f).digest != first.digest

    def test_recursion(self) -> None:
        a = "def f(n): return 1 if n < 1 else n * f(n - 1)\n"
        assert code(a) == code("\n\n" + a)
        assert code(a).digest != code(a.replace("< 1", "< 2")).digest

    def test_mutual_recursion(self) -> None:
        a = "def f(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and f(n - 1)\n"
        assert code(a) == code("\n".join(reversed(a.splitlines())) + "\n")
        assert code(a).digest != code(a.replace("!= 0", "!= 1")).digest
        assert code(a).digest != code(a, "odd").digest

    def test_functions_within_and_comprehensions(self) -> None:
        a = "K = 1\ndef f(x):\n    def g(): return [K for _ in x]\n    return (lambda: g())\n"
        assert code(a).digest != code(a.replace("K = 1", "K = 2")).digest

    def test_a_chain_of_5000_helpers(self) -> None:
        lines = [f"def f{i}(x): return f{i + 1}(x)" for i in range(5000)]
        assert code("\n".join([*lines, "def f5000(x): return 1\n"]), "f0") != code(
            "\n".join([*lines, "def f5000(x): return 2\n"]), "f0"
        )


class TestModules:
    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
        """Writes a module of the package `mypkg`, and imports it anew."""
        monkeypatch.syspath_prepend(str(tmp_path))
        folder = tmp_path / "mypkg"
        folder.mkdir()
        (folder / "__init__.py").write_text("")

        def write(name: str, text: str) -> ModuleType:
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
            for loaded in [m for m in sys.modules if m.startswith("mypkg")]:
                del sys.modules[loaded]
            linecache.clearcache()
            __import__(f"mypkg.{name}")
            return sys.modules[f"mypkg.{name}"]

        yield write
        for loaded in [m for m in sys.modules if m.startswith("mypkg")]:
            del sys.modules[loaded]

    @pytest.mark.parametrize(
        "use",
        [
            "from mypkg.tools import clean\ndef f(x): return clean(x)\n",
            "from mypkg import tools\ndef f(x): return tools.clean(x)\n",
            "import mypkg.tools\ndef f(x): return mypkg.tools.clean(x)\n",
            "import mypkg.tools as t\ndef f(x): return t.clean(x)\n",
            "from . import tools\ndef f(x):\n    from .tools import clean\n    return clean(x)\n",
            "import mypkg.tools\ndef f(x):\n    import mypkg.tools as t\n    return t.clean(x)\n",
            "import mypkg.tools\ndef f(x):\n    from mypkg import tools\n    return tools.clean(x)\n",
        ],
    )
    def test_a_function_of_an_own_module(self, package: Any, use: str) -> None:
        package("tools", "def clean(x): return 1\n")
        first = code_of(package("nodes", use).f)
        package("tools", "def clean(x): return 2\n")
        second = code_of(package("nodes", use).f)
        package("tools", "# as before\ndef clean(x): return 1\ndef unused(): ...\n")
        assert first.known
        assert second.digest != first.digest
        assert code_of(package("nodes", use).f) == first

    def test_an_own_module_seen_from_a_notebook(self, package: Any) -> None:
        notebook = Notebook()
        use = "def f(x): return tools.clean(x)\n"
        notebook.names["tools"] = package("tools", "def clean(x): return 1\n")
        notebook.run(use)
        first = notebook.code()
        notebook.names["tools"] = package("tools", "def clean(x): return 2\n")
        assert notebook.code().digest != first.digest

    def test_an_edited_file_counts_when_it_is_loaded(self, package: Any, tmp_path: Path) -> None:
        module = package("nodes", "def f(x): return 1\n")
        first = code_of(module.f)
        (tmp_path / "mypkg" / "nodes.py").write_text("def f(x): return 2\n")
        assert code_of(module.f) == first
        assert code_of(package("nodes", "def f(x): return 2\n").f).digest != first.digest

    def test_a_file_that_does_not_fit_its_code_any_more_is_no_source(self, package: Any, tmp_path: Path) -> None:
        module = package("nodes", "def f(x): return 1\n")
        (tmp_path / "mypkg" / "nodes.py").write_text("def f(y): return 1\n")
        linecache.clearcache()
        assert not code_of(module.f).known

    def test_an_installed_package_counts_by_release(self, monkeypatch: pytest.MonkeyPatch) -> None:
        a = "import numpy as np\ndef f(x): return np.mean(x)\n"
        first = code(a)
        assert first == code(a)
        release = code_of(np.mean)
        assert release.known
        assert release.digest != code_of(np.median).digest
        from hexdag_lab.core.dag import code as code_module

        code_module._release.cache_clear()
        monkeypatch.setattr(np, "__version__", "0.0")
        assert code(a).digest != first.digest
        assert code_of(np.mean).digest != release.digest
        code_module._release.cache_clear()


class TestLambdas:
    def test_two_that_differ_are_never_equal(self) -> None:
        a = lambda x: x + 1  # noqa: E731
        b = lambda x: x + 2  # noqa: E731
        assert code_of(a).known
        assert code_of(a).digest != code_of(b).digest

    def test_several_on_one_line(self) -> None:
        made = [lambda x: x + 1, lambda x: x + 2, lambda x: x + 1, lambda: 1, lambda x: x.a, lambda x: x.b]  # fmt: skip
        found = [code_of(fn) for fn in made]
        assert all(c.known for c in found)
        assert len({c.digest for c in found}) == 5
        assert found[0] == found[2]

    def test_very_many_on_one_line(self) -> None:
        notebook = Notebook()
        notebook.run(f"made = [{', '.join(f'lambda x: x + {i}' for i in range(100))}]\n")
        found = [code_of(fn) for fn in notebook["made"]]
        assert all(c.known for c in found)
        assert len({c.digest for c in found}) == 100

    def test_one_in_another(self) -> None:
        outer = lambda x: lambda y: (x, y)  # fmt: skip # noqa: E731
        assert code_of(outer).known
        assert code_of(outer(1)).known
        assert code_of(outer(1)).digest != code_of(outer(2)).digest

    def test_one_over_several_lines(self) -> None:
        def take(fn: Any) -> Code:
            return code_of(fn)

        one = take(
            lambda x: (
                x
                + 1
            )
        )  # fmt: skip
        assert one.known
        assert one.digest == code_of(lambda x: x + 1).digest

    def test_constants_of_other_types(self) -> None:
        made = [code_of(fn).digest for fn in (lambda: 1, lambda: 1.0, lambda: True, lambda: "1", lambda: -1)]
        assert len(set(made)) == 5

    @pytest.mark.parametrize(
        "text",
        [
            "a = lambda: 1; b = lambda: 2\n",
            "def keep(*fns): return lambda _: fns\n@keep(lambda: 1, lambda: 2)\ndef a(): ...\na, b = a\n",
        ],
    )
    def test_in_statements_and_decorators_on_one_line(self, text: str) -> None:
        notebook = Notebook()
        notebook.run(text)
        a, b = notebook.code("a"), notebook.code("b")
        assert a.known
        assert b.known
        assert a.digest != b.digest

    def test_in_a_call_over_several_lines(self) -> None:
        a = (
            "specs = [\n    ('a', lambda: 1), ('b', lambda a: a + 1),\n"
            "    ('c', lambda b: b + 2), ('d', lambda b: b + 3)\n]\n"
        )
        notebook = Notebook()
        notebook.run(a)
        found = [code_of(fn) for _, fn in notebook["specs"]]
        assert all(c.known for c in found)
        assert len({c.digest for c in found}) == 4


class TestOtherCallables:
    def test_methods(self) -> None:
        a = "class Model:\n    def __init__(self, n): self.n = n\n    def fit(self, x): return x + self.n\n"
        one, two = code(a + "f = Model(1).fit\n"), code(a + "f = Model(2).fit\n")
        assert one.digest != two.digest
        assert one == code(a + "f = Model(n=1).fit\n")
        assert one.digest != code(a.replace("x + self", "x - self") + "f = Model(1).fit\n").digest
        assert one.names() == ("x",)

    def test_instances(self) -> None:
        a = "class Model:\n    def __init__(self, n): self.n = n\n    def __call__(self, x): return x + self.n\n"
        assert code(a + "f = Model(1)\n").digest != code(a + "f = Model(2)\n").digest
        assert code(a + "f = Model(1)\n").digest != code(a.replace("+ self", "- self") + "f = Model(1)\n").digest

    def test_partials(self) -> None:
        a = "from functools import partial\ndef g(x, y, z=0): return x + y\n"
        found = [
            code(a + f"f = partial({args})\n").digest for args in ("g, 1", "g, 2", "g, y=1", "g", "partial(g, 1), 2")
        ]
        assert len(set(found)) == 5
        assert (
            code(a + "f = partial(g, 1)\n").digest != code(a.replace("x + y", "x * y") + "f = partial(g, 1)\n").digest
        )

    def test_builtins_and_ufuncs(self) -> None:
        found = [
            code_of(fn) for fn in (len, max, sum, np.add, np.multiply, np.mean, dict, str.upper, "a".upper, "b".upper)
        ]
        assert all(c.known for c in found)
        assert len({c.digest for c in found}) == len(found)

    def test_a_builtin_that_hides_its_parameters_takes_one_value(self) -> None:
        (param,) = code_of(max).params
        assert (param.required, param.kind) == (True, "positional")

    def test_wrapped_functions_show_both_wrapper_and_function(self) -> None:
        a = (
            "from functools import wraps\n"
            "def twice(n):\n    def deco(fn):\n        @wraps(fn)\n"
            "        def run(*a): return [fn(*a) for _ in range(n)]\n"
            "        return run\n    return deco\n"
            "@twice(2)\ndef f(x): return x\n"
        )
        assert code(a).digest != code(a.replace("twice(2)", "twice(3)")).digest
        assert code(a).digest != code(a.replace("def f(x): return x", "def f(x): return -x")).digest
        assert code(a).digest != code(a.replace("[fn(*a)", "[-fn(*a)")).digest
        assert code(a).names() == ("x",)

    def test_cached_functions(self) -> None:
        a = "from functools import lru_cache\n@lru_cache\ndef g(x): return 1\ndef f(x): return g(x)\n"
        assert code(a).digest != code(a.replace("return 1", "return 2")).digest

        @lru_cache
        def cached(x: int) -> int:
            return x

        assert code_of(cached).known

    def test_async_and_generator_functions(self) -> None:
        for text in ("async def f(x):\n    async for i in x: yield await i\n", "def f(x):\n    yield from x\n"):
            assert (
                code(text).digest
                != code(text.replace(" x", " -x", 1) if "from" in text else text.replace("await i", "i")).digest
            )

    def test_classes(self) -> None:
        a = "class f:\n    limit = 1\n    def __init__(self, x): self.x = x\n    def go(self): return self.x\n"
        assert code(a) == code(a.replace("class f:\n", "class f:\n    '''What it is.'''\n    # more\n"))
        for old, new in (("limit = 1", "limit = 2"), ("self.x = x", "self.x = 0"), ("class f", "class f(dict)")):
            assert code(a).digest != code(a.replace(old, new)).digest
        assert code(a).names() == ("x",)

    def test_what_is_not_callable(self) -> None:
        with pytest.raises(SchemaError, match="needs a function, not 7"):
            code_of(7)  # type: ignore[arg-type]


class TestClassesThatAreReached:
    def test_bases_decorators_and_methods(self) -> None:
        a = (
            "from dataclasses import dataclass\n"
            "def helper(): return 1\n"
            "class Base:\n    def go(self): return 0\n"
            "@dataclass(frozen=True)\nclass Item(Base):\n    n: int = 0\n    def run(self): return helper()\n"
            "    @property\n    def size(self): return self.n\n"
            "def f(x): return Item(x).run()\n"
        )
        for old, new in (
            ("return 1", "return 2"), ("return 0", "return 3"), ("frozen=True", "frozen=False"), ("int = 0", "int = 1"),
            ("    @property\n", ""), ("self.n\n", "-self.n\n"),
        ):  # fmt: skip
            assert code(a).digest != code(a.replace(old, new)).digest, (old, new)

    def test_types_of_fields(self) -> None:
        a = (
            "from pydantic import BaseModel\n"
            "class Part(BaseModel):\n    n: int\n    def show(self): return self.n\n"
            "class Whole(BaseModel):\n    part: Part\n    def show(self): return self.part\n"
            "def f(x): return Whole(part=x)\n"
        )
        assert code(a).digest != code(a.replace("n: int", "n: str")).digest

    def test_super_and_class_cells(self) -> None:
        a = "class A:\n    def go(self): return 1\nclass B(A):\n    def go(self): return super().go()\nf = B().go\n"
        assert code(a).digest != code(a.replace("return 1", "return 2")).digest

    @pytest.mark.parametrize("kind", ["BaseModel", "dataclass", "Enum", "plain"])
    def test_a_class_of_a_notebook_that_has_no_methods(self, kind: str) -> None:
        """Before Python 3.13 nothing says where such a class was written: its members count."""
        head = {
            "BaseModel": "from pydantic import BaseModel\nclass Item(BaseModel):\n    n: int = 1\n    m: list = []\n",
            "dataclass": "from dataclasses import dataclass\n@dataclass\nclass Item:\n    n: int = 1\n",
            "Enum": "from enum import Enum\nclass Item(Enum):\n    n = 1\n",
            "plain": "class Item:\n    n = 1\n",
        }[kind]
        a = head + "def f(): return Item\n"
        assert code(a) == code(a)
        assert code(a).digest != code(a.replace("1", "2")).digest
        assert code(a).digest != code(a.replace(" n", " k")).digest

    def test_enum_members(self) -> None:
        a = "from enum import Enum\nclass Mode(Enum):\n    A = 1\n    B = 2\nMODE = Mode.A\ndef f(): return MODE\n"
        assert code(a).digest != code(a.replace("MODE = Mode.A", "MODE = Mode.B")).digest


class TestInstancesThatAreReached:
    @pytest.mark.parametrize(
        ("made", "other"),
        [
            ("re.compile('a')", "re.compile('b')"),
            ("Path('a')", "Path('b')"),
            ("Decimal('1.1')", "Decimal('1.2')"),
            ("np.arange(3)", "np.arange(4)"),
            ("np.zeros(3)", "np.zeros(3, 'f4')"),
            ("np.array([[1, 2]]).T", "np.array([[1, 3]]).T"),
            ("np.array([{1}, None])", "np.array([{2}, None])"),
            ("Item(1)", "Item(2)"),
            ("[Item(1), {1: Item(1)}]", "[Item(1), {1: Item(2)}]"),
            ("{Item, len}", "{Item, max}"),
            ("defaultdict(list)", "defaultdict(dict)"),
            ("list[int]", "list[str]"),
            ("logging.getLogger('a')", "logging.getLogger('b')"),
            ("slice(1)", "slice(2)"),
            ("range(3)", "range(4)"),
        ],
    )
    def test_they_count_by_content(self, made: str, other: str) -> None:
        a = (
            "import re, logging, numpy as np\nfrom pathlib import Path\nfrom decimal import Decimal\n"
            "from collections import defaultdict\n"
            "class Item:\n    def __init__(self, n): self.n = n\n"
            f"CONTENT = {made}\ndef f(): return CONTENT\n"
        )
        assert code(a) == code(a)
        assert code(a).digest != code(a.replace(f"= {made}\n", f"= {other}\n")).digest

    def test_what_shows_nothing_is_said_to_be_unknown(self) -> None:
        notebook = Notebook()
        notebook.run("import threading\nLOCK = threading.Lock()\ndef f():\n    with LOCK: return 1\n")
        assert not notebook.code().known

    def test_a_ring_of_objects(self) -> None:
        a = "class Item: ...\nRING = Item()\nRING.me = [RING, {'x': RING}]\nRING.n = 1\ndef f(): return RING\n"
        assert code(a) == code(a)
        assert code(a).digest != code(a.replace("RING.n = 1", "RING.n = 2")).digest


class TestWithoutSource:
    def test_it_is_known_by_its_bytecode_and_never_cached(self) -> None:
        def made(text: str) -> Code:
            names: dict[str, Any] = {}
            exec(text, names)
            return code_of(names["f"])

        one = made("def f(x): return x + 1")
        assert not one.known
        assert one == made("def f(x): return x + 1")
        for other in ("def f(x): return x + 2", "def f(x): return x - 1", "N = 1\ndef f(x): return x + N"):
            assert made(other).digest != one.digest
        assert made("N = 1\ndef f(x): return N").digest != made("N = 2\ndef f(x): return N").digest
        assert made("def f(x): return lambda: 1").digest != made("def f(x): return lambda: 2").digest

    def test_so_are_classes(self) -> None:
        def made(text: str) -> Code:
            names: dict[str, Any] = {"__name__": "nowhere"}
            exec(text, names)
            return code_of(names["f"])

        one = made("class f:\n    def go(self): return 1")
        assert not one.known
        assert one.digest != made("class f:\n    def go(self): return 2").digest

    def test_whoever_uses_it_is_unknown_as_well(self) -> None:
        notebook = Notebook()
        exec("def helper(): return 1", notebook.names)
        notebook.run("def f(): return helper()\n")
        assert not notebook.code().known


class TestVersion:
    def test_it_replaces_the_content(self) -> None:
        one, other = code_of(lambda: 1, "1"), code_of(lambda: 2, "1")
        assert one.digest == other.digest
        assert one.digest != code_of(lambda: 1, "2").digest
        assert one.known

    def test_not_the_name(self) -> None:
        notebook = Notebook()
        notebook.run("def f(): ...\ndef g(): ...\n")
        assert code_of(notebook["f"], "1").digest != code_of(notebook["g"], "1").digest


class TestSpeed:
    def test_source_is_read_once_for_a_thousand_nodes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reads = 0
        whole = source_module._function_source

        def counted(fn: Any) -> Any:
            nonlocal reads
            reads += 1
            return whole(fn)

        monkeypatch.setattr(source_module, "_function_source", counted)
        notebook = Notebook()
        notebook.run("def helper(x): return x\ndef f(x, n=0): return helper(x)\n")
        specs = [NodeSpec(f"n{i}", notebook["f"], params={"n": i}) for i in range(1000)]
        assert reads == 2
        assert len({spec.code.digest for spec in specs}) == 1

    def test_a_wrapper_is_not_taken_for_what_it_wraps(self) -> None:
        def inner(x: int) -> int:
            return x

        @wraps(inner)
        def outer(*args: Any) -> Any:
            return inner(*args)

        assert code_of(outer).digest != code_of(inner).digest
        assert code_of(partial(inner)).digest != code_of(inner).digest

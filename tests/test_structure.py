"""The promises about the house itself: imports point one way and in no circle, the front door is quick, what ships is whole."""

import ast
import importlib
import importlib.util
import json
import re
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest

import steelyard
from steelyard import _moved

SOURCE = Path(steelyard.__file__).parent

LEVELS = [
    {"__main__"},
    {"cli"},
    {"runs"},
    {"recipes", "training", "bench"},
    {"rubric_reward"},
    {"rubric", "weighting", "report"},
    {"objectives", "mixture", "models", "runlog", "llm"},
    {"checks", "advantages", "pareto", "rows", "tasks"},
    {"fields", "files", "folding", "intervals", "seeds", "messages", "patterns", "registry", "settings", "yaml_texts"},
    {"errors"},
]
"""From the top down. A room may import from those below it, and from none beside it."""
LARGEST_ROOM = 0.15
"""The share of the source that one room may hold."""


def dotted(text):
    """Whether a text is a dotted name, and no sentence."""
    return text.replace(".", "").replace("_", "").isalnum()


class Files:
    """The modules of a package: where each stands, and which others it imports in whatever form."""

    def __init__(self, folder, package):
        self.package = package
        self.paths = {self.name_of(path, folder): path for path in folder.rglob("*.py")}

    def name_of(self, path, folder):
        parts = [self.package, *path.relative_to(folder).with_suffix("").parts]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def room_of(self, module):
        parts = module.split(".")
        return parts[1] if len(parts) > 1 else "__init__"

    def imports(self, module):
        """Modules that a module imports: absolutely, relatively, by a name of a package, in a function, or as a text that names a module."""
        path, found = self.paths[module], set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found.update(self.known(alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    here = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                    base = ".".join([*here[: len(here) - node.level + 1], *([node.module] if node.module else [])])
                found.update(self.known(f"{base}.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.Constant) and str(node.value).startswith(f"{self.package}.") and dotted(node.value):
                found.add(self.known(node.value, whole=True))
        # A room that looks its own files up by name is no circle.
        return found - {None, module}

    def known(self, name, *, whole=False):
        """The module that a dotted name stands for: the longest beginning of it that is one."""
        parts = name.split(".")
        if parts[0] != self.package:
            return None
        while parts and ".".join(parts) not in self.paths:
            if whole:
                # The beginning of an f-string that ends in the module's name.
                return f"{self.package}.{parts[1]}" if len(parts) > 2 and not parts[-1] else None
            parts = parts[:-1]
        return ".".join(parts) or None


HOUSE = Files(SOURCE, "steelyard")
EXEMPT = {"steelyard", "steelyard._moved", "steelyard._lazy"}
"""The front door and the table of former places name every room; what they import is imported when it is asked for."""


def wrong_arrows(files, levels, exempt=frozenset()):
    level = {room: i for i, rooms in enumerate(levels) for room in rooms}
    wrong = []
    for module in files.paths:
        for other in files.imports(module) - exempt if module not in exempt else ():
            room, to = files.room_of(module), files.room_of(other)
            if to not in ("__init__", room) and not level[to] > level[room]:
                wrong.append(f"{module} imports {other}")
    return wrong


def circle(files, exempt=frozenset()):
    """A circle of modules that import each other, or None; a package counts as its `__init__`."""
    state, trail = {}, []

    def visit(module):
        state[module] = "open"
        trail.append(module)
        for other in sorted(files.imports(module) - exempt):
            if state.get(other) == "open":
                return [*trail[trail.index(other) :], other]
            if other not in state and (found := visit(other)):
                return found
        trail.pop()
        state[module] = "done"
        return None

    return next(
        (found for module in sorted(files.paths) if module not in state and module not in exempt and (found := visit(module))),
        None,
    )


def test_imports_point_one_way():
    assert wrong_arrows(HOUSE, LEVELS, EXEMPT) == []


def test_imports_form_no_circle():
    assert circle(HOUSE, EXEMPT) is None


@pytest.mark.parametrize(
    "form",
    [
        "import house.top",
        "import house.top.one as name",
        "from house import top",
        "from house.top import one",
        "from house.top.one import name",
        "from .. import top",
        "from ..top import one",
        "from ..top.one import name",
        "def later():\n    from house.top import one",
        "if TYPE_CHECKING:\n    from house.top import one",
        'import importlib\nimportlib.import_module("house.top.one")',
        'HOMES = {"name": "house.top.one"}',
        'import importlib\nimportlib.import_module(f"house.top.{name}")',
    ],
)
def test_the_guard_sees_every_form_of_import(tmp_path, form):
    for name in ("top", "ground"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / "one.py").write_text("name = 1\n")
    (tmp_path / "__init__.py").write_text("")
    levels = [{"top"}, {"ground"}]
    assert wrong_arrows(Files(tmp_path, "house"), levels) == []
    (tmp_path / "ground" / "two.py").write_text(form + "\n")
    assert len(wrong_arrows(Files(tmp_path, "house"), levels)) == 1
    (tmp_path / "top" / "one.py").write_text("from house.ground import two\n")
    (tmp_path / "top" / "__init__.py").write_text("from house.top import one\n")
    assert circle(Files(tmp_path, "house")) is not None


def test_no_room_is_too_large():
    lines = Counter()
    for module, path in HOUSE.paths.items():
        lines[HOUSE.room_of(module)] += len(path.read_text(encoding="utf-8").splitlines())
    assert {room: count for room, count in lines.items() if count > LARGEST_ROOM * lines.total()} == {}


def test_only_training_and_runs_import_trl():
    for module, path in HOUSE.paths.items():
        if HOUSE.room_of(module) not in ("training", "runs"):
            text = path.read_text(encoding="utf-8")
            assert "import trl" not in text
            assert "from trl" not in text


def loaded_by(code, *names):
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print([m for m in {names!r} if m in sys.modules])"],
        capture_output=True,
        text=True,
        check=True,
    )
    return ast.literal_eval(found.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize(
    "code",
    [
        "import steelyard",
        "import steelyard.training",
        "import steelyard.recipes",
        "import steelyard.runs",
        "import steelyard.objectives",
        "from steelyard.cli import app",
    ],
)
def test_the_front_door_is_quick(code):
    """No torch, no TRL, no transformers behind it: that is what would make it slow, whatever the machine."""
    assert loaded_by(code, "torch", "trl", "transformers", "matplotlib", "datasets") == []


def test_trainers_need_no_recipe():
    code = "from steelyard.training import PolicyTrainer, MixtureSFTTrainer, WeightingCallback, use_mixture, Mixture"
    rooms = [name for name in HOUSE.paths if name.startswith(("steelyard.recipes", "steelyard.runs"))]
    assert loaded_by(code, *rooms) == []


def test_planning_a_mixture_needs_no_torch():
    code = "import steelyard.report._plan_figure; from steelyard.mixture import plan_mixture, count_domains"
    assert loaded_by(code, "torch") == []


def test_every_public_name_is_there_and_explained():
    for name in steelyard.__all__:
        assert getattr(steelyard, name) is not None
    for name in (
        "Objective",
        "reward_matrix",
        "ParetoArchive",
        "GradientInfluence",
        "HypervolumeGuided",
        "FixedWeights",
        "ScheduledWeights",
        "GDPO",
        "NormalizedInfluence",
        "StageAware",
        "LagrangianConstraints",
        "SmoothTchebycheff",
        "GramianWeights",
        "Gate",
        "gradient_influence",
    ):
        text = getattr(steelyard, name).__doc__
        assert "Args:" in text or "Attributes:" in text
        assert "Example:" in text
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        steelyard.nothing  # noqa: B018


def test_former_modules_answer_to_their_old_names():
    """In a process of its own, where nothing has been imported by an old name yet."""
    code = """
import importlib, json, warnings
from steelyard import _moved
said = {}
for old in _moved.FORMER_MODULES:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = importlib.import_module(old)
    try:
        module.nothing
    except AttributeError as error:
        said[old] = [[str(w.message) for w in caught if w.category is DeprecationWarning], str(error)]
print(json.dumps(said))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    assert list(said) == list(_moved.FORMER_MODULES)
    for old, (warned, error) in said.items():
        homes = _moved.FORMER_MODULES[old]
        assert any(line.startswith(f"{old} is {homes[0]} now") for line in warned)
        assert error.startswith(f"module {old!r} has no attribute 'nothing'; it is {homes[0]}")
        assert all(home in HOUSE.paths for home in homes)
    from steelyard.rubric.checks.content import language_of as by_its_old_name

    from steelyard.checks.content import language_of

    assert by_its_old_name is language_of


def test_public_names_stay_where_they_were():
    from steelyard import training

    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        for name in _moved.ELSEWHERE["steelyard.training"]:
            assert getattr(training, name).__name__ == name
    with pytest.raises(AttributeError, match=r"module 'steelyard.training' has no attribute 'nothing'"):
        training.nothing  # noqa: B018


PRIVATE_WHOLLY = {"cli", "tasks"}
"""Rooms that promise nothing to importers: the command line, and the embedded task."""


def top_names(path):
    """Names defined at the top of a module, with whether a decorator adds them to a registry."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, any(".add(" in ast.unparse(decorator) for decorator in node.decorator_list)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name):
                yield target.id, node.value is not None and ".add(" in ast.unparse(node.value)


def packages():
    for module, path in HOUSE.paths.items():
        if path.name == "__init__.py" and path.parent.parent == SOURCE and HOUSE.room_of(module) not in PRIVATE_WHOLLY:
            yield importlib.import_module(module), path.parent


def test_a_module_that_holds_nothing_public_begins_with_an_underscore():
    wrong = []
    for room, folder in packages():
        for path in folder.rglob("*.py"):
            names = dict(top_names(path))
            if not path.name.startswith("_") and not any(name in room.__all__ or added for name, added in names.items()):
                wrong.append(str(path.relative_to(SOURCE)))
    assert wrong == []


def test_a_helper_of_one_module_begins_with_an_underscore():
    texts, wrong = {path: path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")}, []
    for room, folder in packages():
        for path in folder.rglob("*.py"):
            for name, added in top_names(path) if not path.name.startswith("_") else ():
                if name.startswith("_") or added or name in room.__all__:
                    continue
                if not any(re.search(rf"\b{name}\b", text) for other, text in texts.items() if other != path):
                    wrong.append(f"{path.relative_to(SOURCE)}: {name}")
    assert wrong == []


def test_the_embedded_policy_is_under_four_megabytes():
    folder = SOURCE / "tasks" / "sums" / "policy"
    assert (folder / "model.safetensors").is_file()
    assert sum(entry.stat().st_size for entry in folder.iterdir()) < 4 * 2**20


def test_nothing_here_loads_pickles_or_runs_code():
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("eval", "exec", "pickle.load", "pickle.loads", "torch.load", "yaml.load"), (
                    f"{path}:{node.lineno} {name}"
                )


@pytest.mark.parametrize(
    "script",
    sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py")) + sorted((Path(__file__).parents[1] / "docs").glob("*.py")),
    ids=lambda path: path.name,
)
def test_what_a_benchmark_imports_is_there(script):
    """Benchmarks run for hours, and rarely: a name that moved would be noticed months later."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "steelyard":
            module = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names):
                assert hasattr(module, name) or importlib.util.find_spec(f"{node.module}.{name}"), f"{node.module} has no {name}"


def _submodules_without_import(path):
    """`(package, submodule)` that a file reaches by attribute, of a package it imports, without importing the submodule."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names if not alias.asname}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            package, name = node.value.id, node.attr
            below = any(other == f"{package}.{name}" or other.startswith(f"{package}.{name}.") for other in imported)
            if not below and _is_module(package) and _is_module(f"{package}.{name}"):
                yield package, name


def _is_module(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def test_a_submodule_that_is_used_is_imported():
    """`import jinja2` gives no `jinja2.sandbox`: it was there only because transformers had imported it, and on another machine it was not."""
    found = {pair for path in sorted(SOURCE.rglob("*.py")) for pair in _submodules_without_import(path)}
    for package in sorted({package for package, _ in found}):
        names = sorted(name for other, name in found if other == package)
        script = f"import {package}\nprint([name for name in {names!r} if not hasattr({package}, name)])"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.stdout.strip().splitlines()[-1:] == ["[]"], (package, done.stdout, done.stderr[-500:])

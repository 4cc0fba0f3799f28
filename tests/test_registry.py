"""Registries: all of a folder's things are there, whoever asks first and whatever went wrong before."""

import sys
import threading

import pytest

from steelyard.registry import Registry

ADDS = "from {package} import THINGS\n\n\n@THINGS.add({name!r})\ndef made():\n    return {name!r}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch, request):
    """An empty package, with a registry of its own, that can be imported."""
    package = request.node.name
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(
        f"from steelyard.registry import Registry\n\nTHINGS = Registry('thing', {package!r})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / package
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def things(folder):
    return __import__(folder.name).THINGS


def test_a_new_file_is_all_that_a_new_thing_needs(folder):
    (folder / "round.py").write_text(ADDS.format(package=folder.name, name="circle"))
    (folder / "_private.py").write_text("raise AssertionError('passed over')\n")
    assert isinstance(things(folder), Registry)
    assert list(things(folder)) == ["circle"]
    assert things(folder).find("circle")() == "circle"


def test_threads_that_ask_at_once_all_see_every_thing(folder):
    (folder / "a.py").write_text("import time\n\ntime.sleep(0.3)\n")
    (folder / "b.py").write_text(ADDS.format(package=folder.name, name="late"))
    registry, found = things(folder), []
    threads = [threading.Thread(target=lambda: found.append(list(registry))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["late"]] * 4


def test_a_file_that_does_not_import_is_an_error_every_time_and_not_an_empty_registry(folder):
    (folder / "a.py").write_text("raise RuntimeError('broken')\n")
    (folder / "b.py").write_text(ADDS.format(package=folder.name, name="square"))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            list(things(folder))
    (folder / "a.py").write_text("")
    assert list(things(folder)) == ["square"]


def test_a_file_may_ask_while_it_is_imported(folder):
    (folder / "a.py").write_text(ADDS.format(package=folder.name, name="first"))
    (folder / "b.py").write_text(f"from {folder.name} import THINGS\n\nSEEN = list(THINGS)\n")
    assert list(things(folder)) == ["first"]
    assert sys.modules[f"{folder.name}.b"].SEEN == ["first"]

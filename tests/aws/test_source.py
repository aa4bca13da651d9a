"""What users hand over, read without being executed: what comes along, which handler is meant, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rota.aws.source import choose_handler, read_directory, read_module, read_text
from rota.core.errors import InvalidError, NotFoundError

PLAIN = "def handler(event, context):\n    return event\n"


def lay(folder: Path, **files: str) -> Path:
    """Files by name; `__` stands for a slash, and `.py` is added."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_file_brings_what_it_imports_from_beside_it(tmp_path: Path) -> None:
    lay(
        tmp_path,
        shop="import json, prices\nfrom stock.shelf import full\n",
        prices="from rates import euro\n",
        rates="",
        stock__shelf="",
        unused="",
    )
    (tmp_path / "stock/__init__.py").write_text("")
    source = read_module(tmp_path / "shop.py")
    assert sorted(source.files) == ["prices.py", "rates.py", "shop.py", "stock/__init__.py", "stock/shelf.py"]
    assert source.module == "shop"
    assert "json" in source.imports


def test_files_that_import_each_other_come_once(tmp_path: Path) -> None:
    lay(tmp_path, shop="import prices", prices="import shop")
    assert sorted(read_module(tmp_path / "shop.py").files) == ["prices.py", "shop.py"]


def test_a_package_comes_whole_but_for_what_is_hidden_or_compiled(tmp_path: Path) -> None:
    lay(tmp_path, shop__main="from . import data")
    (tmp_path / "shop/__init__.py").write_text("")
    (tmp_path / "shop/rates.json").write_text("{}")
    for name in (".secret", "__pycache__/x.pyc", "old.pyc"):
        path = tmp_path / "shop" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    assert set(read_module(tmp_path / "shop").files) == {"shop/__init__.py", "shop/main.py", "shop/rates.json"}


def test_a_directory_is_the_root_of_the_bundle(tmp_path: Path) -> None:
    lay(tmp_path, handler=PLAIN, parts__sums="")
    (tmp_path / "requirements.txt").write_text("msgspec\n")
    source = read_directory(tmp_path)
    assert sorted(source.files) == ["handler.py", "parts/sums.py", "requirements.txt"]
    assert source.requirements == tmp_path / "requirements.txt"
    assert choose_handler(source) == "handler.handler"


@pytest.mark.parametrize(
    ("text", "given", "chosen"),
    [
        (PLAIN, None, "handler.handler"),
        ("def lambda_handler(event, context): ...", None, "handler.lambda_handler"),
        ("def other(event, context): ...", "other", "handler.other"),
        ("def other(event, context): ...", "handler.other", "handler.other"),
        ("class Thing: ...\nhandler = Thing()", None, "handler.handler"),
        ("from elsewhere import work as handler", None, "handler.handler"),
        ("try:\n    handler = 1\nexcept Exception:\n    raise", None, "handler.handler"),
        ("from elsewhere import *", "handler.work", "handler.work"),
    ],
)
def test_the_handler_is_found_by_reading(text: str, given: str | None, chosen: str) -> None:
    assert choose_handler(read_text(text), given) == chosen


@pytest.mark.parametrize(
    ("text", "given", "said"),
    [
        ("def work(event, context): ...", None, r"handler\.py must have `def handler\(event, context\)` or .* work"),
        ("X = 1\n", "handler.work", r"must have `def work\(event, context\)`; it defines: X"),
        ("def outer():\n    def handler(event, context): ...", None, r"it defines: outer"),
        ("async def handler(event, context): ...", None, r"Lambda does not await"),
        (PLAIN, "elsewhere.handler", r"in a module of the source: handler"),
    ],
)
def test_a_handler_that_is_not_there_is_refused(text: str, given: str | None, said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        choose_handler(read_text(text), given)


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    lay(tmp_path, shop="x = 1\n\ndef handler(event, context)\n    return 1\n")
    with pytest.raises(InvalidError, match=r"shop\.py:3: expected ':'"):
        read_module(tmp_path / "shop.py")


def test_places_that_hold_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # long values are cut in messages, and this path may be long
    (tmp_path / "shop.txt").write_text("")
    lay(tmp_path, **{"my-shop": PLAIN, "two__a": PLAIN, "two__b": PLAIN})
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match=r"no file 'absent\.py'"):
        read_module(Path("absent.py"))
    with pytest.raises(InvalidError, match=r"a Python file \(\.py\)"):
        read_module(tmp_path / "shop.txt")
    with pytest.raises(InvalidError, match="a name that Python can import"):
        read_module(tmp_path / "my-shop.py")
    with pytest.raises(InvalidError, match="a directory with an __init__"):
        read_module(tmp_path / "empty")
    with pytest.raises(NotFoundError, match="no directory"):
        read_directory(tmp_path / "absent")
    with pytest.raises(InvalidError, match="at least one Python file"):
        read_directory(tmp_path / "empty")
    with pytest.raises(InvalidError, match="the directory has several modules"):
        choose_handler(read_directory(tmp_path / "two"))
    (tmp_path / "two/link").symlink_to(tmp_path / "empty")
    with pytest.raises(InvalidError, match="no symbolic link"):
        read_directory(tmp_path / "two")


def test_what_cannot_be_read_or_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lay(tmp_path, handler=PLAIN)
    (tmp_path / "gone.json").symlink_to(tmp_path / "absent")
    with pytest.raises(InvalidError, match=r"gone\.json' is not allowed; .* links that lead to a file"):
        read_directory(Path())
    (tmp_path / "gone.json").unlink()
    with (tmp_path / "huge.bin").open("wb") as file:
        file.truncate(251 * 1024 * 1024)
    with pytest.raises(InvalidError, match="at most 262,144,000 bytes, dependencies included"):
        read_directory(tmp_path)

"""Which names from a host may become paths on this laptop.

Every engine that stores what came from a host asks `path_problem` first. Names are data: looked at,
never trusted.
"""

from __future__ import annotations

import base64
import os
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from being_remote.backup_paths import LIVE_FILES, LIVE_FOLDERS

MAX_PART_BYTES = 255
MAX_PATH_BYTES = 2048


@dataclass(frozen=True)
class Tree:
    """A folder on this laptop into which downloads go, and which of its parts they may fill.

    Attributes:
        folders: its folders that downloads may fill; None: any.
        files: its files that they may replace; None: any.
        ours: files of ours at its top, whose names neither files nor folders may have.
    """

    folders: frozenset[str] | None
    files: frozenset[str] | None
    ours: frozenset[str] = frozenset()

    def holds(self, path: str) -> bool:
        """Whether a plain path lies in a part that downloads may fill.

        Example:
            >>> [LIVE.holds(path) for path in ("bbox.pt", "bbox.pt/a", "run/a", "run", "runs/a")]
            [True, False, True, False, False]
        """
        top, _, rest = path.partition("/")
        allowed = self.folders if rest else self.files
        return allowed is None or top in allowed


# The live tree of a backup; downloads touch nothing else in that folder.
LIVE = Tree(LIVE_FOLDERS, LIVE_FILES)

# What tools execute, or read as settings that can name programs, when somebody works in its folder.
# Names that begin with a dot (.git, .envrc, .vscode, .ssh, .DS_Store, ...) are refused without a list.
_TOOL_FILES = frozenset(
    """
    inventory.yaml inventory.yml tasks.py invoke.yaml invoke.yml invoke.json invoke.py fabfile.py
    fabric.yaml fabric.yml fabric.json fabric.py conftest.py noxfile.py dodo.py setup.py setup.cfg
    pyproject.toml pytest.ini tox.ini mypy.ini pylintrc pylintrc.toml uv.toml hatch.toml hatch_build.py
    conanfile.py ansible.cfg devenv.nix agents.md claude.md gemini.md manage.py
    sitecustomize.py usercustomize.py pyvenv.cfg
    makefile gnumakefile bsdmakefile cmakelists.txt meson.build configure.ac wscript sconstruct
    sconscript justfile taskfile.yml taskfile.yaml procfile rakefile gemfile guardfile brewfile
    vagrantfile jenkinsfile snakefile dockerfile containerfile compose.yaml compose.yml
    docker-compose.yaml docker-compose.yml package.json gruntfile.js gulpfile.js cargo.toml build.rs
    build.gradle settings.gradle pom.xml build.xml build.bazel module.bazel workspace flake.nix
    shell.nix default.nix mise.toml mkdocs.yml desktop.ini thumbs.db autorun.inf tasks/__init__.py
    invoke/__init__.py fabfile/__init__.py
    """.split()  # noqa: SIM905 - a list of them would be a page long
)


def path_problem(tree: Tree, name: bytes, *, below: str = "", called: str = "") -> str | None:
    """Why a file from a host may not be stored in `tree`; None when it may.

    Args:
        name: its path below the folder that was listed, as the host spells it.
        below: the folder of `tree` for the files of that folder; "" is its top.
        called: its local name where that differs from the host's.

    Example:
        >>> path_problem(LIVE, b"a/train.log", below="run/logs")
        >>> path_problem(LIVE, b"../../.ssh/authorized_keys", below="run/logs")
        'it leaves its folder'
    """
    last = called or os.fsdecode(name)
    return name_problem(name) or _refused_in(tree, f"{below}/{last}" if below else last)


def _refused_in(tree: Tree, path: str) -> str | None:
    if not tree.holds(path):
        return "no download belongs there"
    if path.casefold().partition("/")[0] in tree.ours:
        return "the name is ours"
    folder, _, last = path.rpartition("/")
    return _tools_name(last, folder.rpartition("/")[2]) or (_tools_folder(folder) if folder else None)


@lru_cache(maxsize=1 << 12)
def _tools_folder(folder: str) -> str | None:
    """Why no file may lie in this folder; asked for each of its files."""
    above, _, last = folder.rpartition("/")
    return _tools_name(last, above.rpartition("/")[2]) or (_tools_folder(above) if above else None)


def _tools_name(part: str, folder: str) -> str | None:
    """Why no file or folder may be called `part`; `folder` is the name of the one it lies in."""
    plain = _as_tools_read(part)
    if plain.startswith("."):
        return f"{part!r} is a hidden name, which tools read as settings"
    if plain in _TOOL_FILES or f"{_as_tools_read(folder)}/{plain}" in _TOOL_FILES:
        return f"tools run or read a file called {part!r}"
    return None


def _as_tools_read(part: str) -> str:
    """A name as a file system may fold it: case, letters that are not shown, blanks and dots at its end.

    Example:
        >>> _as_tools_read("Makefile"), _as_tools_read(".G\\u200cit"), _as_tools_read("tasks.py. ")
        ('makefile', '.git', 'tasks.py')
    """
    if not part.isascii():
        shown = (letter for letter in part if unicodedata.category(letter) != "Cf")
        part = unicodedata.normalize("NFC", "".join(shown))
    return part.casefold().rstrip(" .") or part


def is_plain(name: bytes) -> bool:
    """Whether `name` is a path that stays below its folder, as a listing spells it.

    Example:
        >>> is_plain(b"a/b"), is_plain(b"../a"), is_plain(b"/a"), is_plain(b"a//b")
        (True, False, False, False)
    """
    return b"\0" not in name and not any(part in (b"", b".", b"..") for part in name.split(b"/"))


def name_problem(name: bytes) -> str | None:
    """Why `name` is not a path below a folder that this laptop can store; None when it is one.

    For a file from a host that is not enough: see `path_problem`.

    Example:
        >>> name_problem(b"00000.frame"), name_problem(b"-rf $(x)")
        (None, None)
        >>> name_problem(b"../../.ssh/authorized_keys")
        'it leaves its folder'
    """
    parts = name.split(b"/")
    if name.startswith(b"/") or b".." in parts:
        return "it leaves its folder"
    if not is_plain(name):
        return "it is not a plain path"
    if len(name) > MAX_PATH_BYTES or max(map(len, parts)) > MAX_PART_BYTES:
        return "it is too long"
    if sys.platform == "darwin" and not is_utf8(name):
        return "it is not UTF-8, which this file system demands"
    return None


def is_utf8(name: bytes) -> bool:
    """Whether the name is text.

    Example:
        >>> is_utf8("grün".encode()), is_utf8(b"gr\\xfcn")
        (True, False)
    """
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def shown_path(path: str) -> tuple[str, str | None]:
    """A path as JSON can hold it, and base64 of its bytes where that says less than all.

    Example:
        >>> shown_path("a/grün"), shown_path("a/\\udcfc")
        (('a/grün', None), ('a/\\\\xfc', 'YS/8'))
    """
    raw = os.fsencode(path)
    try:
        return raw.decode("utf-8"), None
    except UnicodeDecodeError:
        return raw.decode("utf-8", "backslashreplace"), base64.b64encode(raw).decode("ascii")


def folds_case(folder: Path) -> bool:
    """Whether `A` and `a` are one file there; looks only, and climbs to what exists."""
    for path in (folder, *folder.parents):
        swapped = path.with_name(path.name.swapcase())
        if swapped.name != path.name and os.path.lexists(path):
            return os.path.lexists(swapped) and os.path.samefile(path, swapped)
    return False


class PathCollisions:
    """The paths that are taken here, and whether one more collides with them.

    Example:
        >>> taken = PathCollisions(["run/logs/a"], folds=True)
        >>> taken.clash("run/logs/A"), taken.clash("run/logs/a"), taken.clash("run/logs/a/b")
        ("it collides with 'run/logs/a'", None, "'run/logs/a' is a file here")
        >>> taken.clash("run")
        "'run' is a folder here"
    """

    def __init__(self, paths: Iterable[str], *, folds: bool) -> None:
        self._folds = folds
        self._files: dict[str, str] = {}
        self._folders: set[str] = set()
        for path in paths:
            self.add(path)

    def add(self, path: str) -> None:
        key = self._key(path)
        self._files[key] = path
        if key.rpartition("/")[0] not in self._folders:
            self._folders.update(_parents(key))

    def clash(self, path: str) -> str | None:
        """Why `path` cannot lie beside the others; None when it can, or is one of them."""
        key = self._key(path)
        if self._files.get(key, path) != path:
            return f"it collides with {self._files[key]!r}"
        if key in self._folders:
            return f"{path!r} is a folder here"
        if key.rpartition("/")[0] in self._folders:
            return None  # where one file has its place, others may have theirs
        blocked = next((self._files[p] for p in _parents(key) if p in self._files), None)
        return f"{blocked!r} is a file here" if blocked is not None else None

    def _key(self, path: str) -> str:
        return unicodedata.normalize("NFC", path).casefold() if self._folds else path


def _parents(path: str) -> list[str]:
    return [path[:i] for i, letter in enumerate(path) if letter == "/"]

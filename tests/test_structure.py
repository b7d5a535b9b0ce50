"""The house: imports point down only, start-up is light, nothing names a personal address."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import being_remote
from being_remote.jobs.job_archive import SHIPPED_LEAVES, SHIPPED_TRACKER

PACKAGE = Path(being_remote.__file__).parent

# Who may import whom: a room may use those named, and the leaves.
LEAVES = {
    "backup_paths",
    "bounded_yaml",
    "disk",
    "durable_files",
    "errors",
    "foreign_text",
    "inventory",
    "inventory_text",
    "inventory_trust",
    "local_lock",
    "local_path",
    "media",
    "pace",
    "plugins",
    "scratch",
    "session",
    "strict_model",
    "weak_disk",
    "wording",
}
VALUES = {
    "bbox_search",
    "host_checks",
    "jobs",
    "recovery",
    "safe_to_stop",
    "backup_sync",
}  # whose reports are shown
KNOW_FILES = {"crop_search", "export", "report", "tracker", "camera"}
KNOW_BYTES = {"backup", "transfer", "pod_client", "pod"}
MAY_IMPORT = {
    "api": {"workflows", "export", "camera", "recipes", "tracker"} | VALUES,
    "cli": {"workflows", "demo", "pod"} | VALUES,
    "demo": {"cli", "workflows", "report", "tracker", "camera", "transport"},
    "workflows": VALUES | KNOW_FILES | KNOW_BYTES | {"push", "recipes", "transport"},
    "bbox_search": {"pod_client", "pod", "tracker", "camera"},
    "host_checks": {"pod_client", "pod", "tracker"},
    "push": {"transfer", "pod_client", "tracker"},
    "recipes": {"jobs", "transfer", "pod_client", "pod", "tracker", "camera"},
    "recovery": KNOW_FILES,
    "safe_to_stop": {"backup_sync", "jobs", "tracker"} | KNOW_BYTES,
    "backup_sync": {"tracker"} | KNOW_BYTES,
    "jobs": {"schedulers"} | KNOW_BYTES,
    "schedulers": {"pod_client"},
    "backup": {"transfer", "pod_client"},
    "transfer": {"pod_client"},
    "pod_client": {"pod"},
    "pod": set(),
    "transport": {"pod_client", "pod"},
    "crop_search": {"tracker", "camera"},
    "export": {"tracker", "camera"},
    "report": {"crop_search", "tracker", "camera"},
    "tracker": {"camera"},
    "camera": set(),
}
LEAF_MAY_IMPORT = {
    "api": {"workflows", "export", "camera", "recipes", "tracker"} | VALUES,
    "backup_paths": set(),
    "bounded_yaml": set(),
    "disk": {"errors", "wording"},
    "durable_files": {"errors", "disk", "pod"},
    "errors": set(),
    "foreign_text": set(),
    "inventory": {"bounded_yaml", "errors"},
    "inventory_text": {"bounded_yaml", "errors", "inventory"},
    "inventory_trust": {"errors", "inventory"},
    "local_lock": {"errors", "pod"},
    "local_path": {"backup_paths"},
    "media": {"errors", "media"},
    "pace": {"errors"},
    "plugins": {"errors"},
    "scratch": set(),
    "session": set(),
    "strict_model": set(),
    "weak_disk": {"disk", "local_lock", "pod"},
    "wording": {"local_path"},
}
# What travels to a pod, and may so import nothing that stays here.
SHIPPED = (*SHIPPED_LEAVES, "camera", "pod", *(f"tracker/{name}.py" for name in SHIPPED_TRACKER))
HEAVY = ("fabric", "paramiko", "torch", "cv2", "av", "matplotlib", "numpy")


def _imports_of_ours(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "being_remote":
            parts = (node.module or "").split(".")[1:]
            found += [parts[0]] if parts else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [a.name.split(".")[1] for a in node.names if a.name.startswith("being_remote.")]
    return found


def test_imports_point_down_only() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        allowed = LEAF_MAY_IMPORT[room] if room in LEAVES else MAY_IMPORT[room] | LEAVES | {room}
        wrong += [
            f"{path.relative_to(PACKAGE)} imports {used}"
            for used in _imports_of_ours(path)
            if used not in allowed and used != "__version__"
        ]
    assert not wrong, "\n".join(wrong)


def test_what_travels_to_a_pod_imports_only_what_travels_with_it() -> None:
    files = [
        f for s in SHIPPED for f in ([PACKAGE / s] if s.endswith(".py") else (PACKAGE / s).rglob("*.py"))
    ]
    travels = {f.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".") for f in files}
    travels |= {"camera", "pod", "tracker"}
    wrong = []
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("being_remote"):
                module = (node.module or "").removeprefix("being_remote").lstrip(".")
                named = [f"{module}.{a.name}" for a in node.names if module in ("tracker", "camera", "pod")]
                wrong += [f"{file.name} imports {used}" for used in named or [module] if used not in travels]
    assert len(files) > 10
    # The Makefile holds the same modules to Python 3.8.
    makefile = (PACKAGE.parent / "Makefile").read_text(encoding="utf-8")
    wrong += [f"Makefile lacks {name}" for name in SHIPPED_TRACKER[1:] if f"{name}.py" not in makefile]
    assert not wrong, "\n".join(wrong)


def test_what_travels_to_a_pod_names_no_type_that_its_numpy_cannot_build() -> None:
    # numpy 1.20 has no `np.ndarray[...]`, and Python 3.8 no `list[...]`, where they are executed.
    no_types = ("np", "tuple", "list", "dict", "set")
    wrong = []
    for s in SHIPPED:
        for file in [PACKAGE / s] if s.endswith(".py") else (PACKAGE / s).rglob("*.py"):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                value = node.value if isinstance(node, ast.Assign) else None
                if isinstance(value, ast.Subscript) and ast.unparse(value.value).split(".")[0] in no_types:
                    wrong.append(f"{file.name}: {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)


def test_starting_up_loads_no_ssh_tensor_or_picture_library() -> None:
    code = f"import sys, being_remote, being_remote.cli.app; print(*set({HEAVY}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_submit_needs_no_numpy() -> None:
    modules = "being_remote.workflows.retrack, being_remote.cli.retrack_tables"
    code = f"import sys, {modules}, being_remote.transport.ssh_session; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_public_names_can_all_be_imported() -> None:
    for name in being_remote.__all__:
        assert getattr(being_remote, name) is not None


def test_no_file_names_a_pod_of_the_users() -> None:
    root = PACKAGE.parent
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=False).stdout
    files = [root / name for name in os.fsdecode(listed).split("\0") if name]
    files = files or [p for d in ("being_remote", "tests", "bench", "docs") for p in (root / d).rglob("*")]
    files = [p for p in (*files, root / "README.md", root / "inventory.yaml") if p.is_file()]
    assert len(files) > 100
    address = ".".join(("154", "54", "102")).encode()
    assert [str(p) for p in files if address in p.read_bytes()] == []

"""A stand-in for nvidia-smi."""

from __future__ import annotations

from pathlib import Path

A100 = "{i}, GPU-{u}-4a1e-11ee-a100-0123456789ab, NVIDIA A100-SXM4-80GB, 81920, {used}, {use}\n"


class Card:
    """nvidia-smi stood in for: prints the capture, ends with the code."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        program = folder / "nvidia-smi"
        program.write_text(
            f"#!/bin/sh\ndate +%s.%N >> {folder}/calls\n"
            f"case $1 in -L) cat {folder}/list;; *mig*) cat {folder}/modes;;"
            f" *) cat {folder}/capture; exit $(cat {folder}/code);; esac\n"
        )
        self.splits("", "")
        program.chmod(0o755)
        self.says(A100.format(i=0, u="0", used=4, use=0))

    def calls(self) -> list[float]:
        """When it was asked, in seconds."""
        return [float(line) for line in (self._folder / "calls").read_text().split()]

    def says(self, capture: str, code: int = 0) -> None:
        (self._folder / "new").write_text(capture)
        (self._folder / "new").rename(self._folder / "capture")
        (self._folder / "code").write_text(str(code))

    def splits(self, modes: str, listed: str) -> None:
        (self._folder / "modes").write_text(modes)
        (self._folder / "list").write_text(listed)

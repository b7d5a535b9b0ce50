"""What another package adds to Being Remote, each in a few lines; `test_plugins.py` installs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field

from being_remote.errors import NotFoundError
from being_remote.export import Export, Target
from being_remote.export.target import File
from being_remote.inventory import Actor, Inventory, LocalHost, SshHost
from being_remote.jobs.recipe import JobPlan, JobRequest, TypedOptions, options_of
from being_remote.jobs.spec import CommandStep, FileProgress, JobSpec
from being_remote.session import Session


def _files(export: Export) -> Iterator[File]:
    cameras = export.cameras
    centres = -np.einsum("nji,nj->ni", cameras.R, cameras.t)
    rows = [
        f"{i},{x},{y},{z}\n"
        for i, (x, y, z) in zip(cameras.frame_ids.tolist(), centres.tolist(), strict=True)
    ]
    yield "centres.csv", [b"frame,x,y,z\n", "".join(rows).encode()]


CENTRES = Target(
    name="centres",
    folder="",
    main_files=("centres.csv",),
    notes=(),
    files=_files,
    fixed_canvas=True,
    K_per_frame=True,
)


class PackOptions(BaseModel, extra="forbid"):
    """How many files to pack."""

    files: int = Field(3, ge=1)


@dataclass(frozen=True)
class Pack:
    """A recipe that writes a few files and packs them."""

    name: str = "pack"
    unit: str = "files"
    results: tuple[str, ...] = ("packed.tar",)
    more_results: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()

    def parse_options(self, typed: TypedOptions) -> PackOptions:
        return options_of(PackOptions, typed)

    def look(self, session: Session, request: JobRequest, inventory: Inventory) -> None:
        pass

    def plan(self, request: JobRequest, facts: None) -> JobPlan:
        count = request.options.files
        script = f"for n in $(seq {count}); do echo $n > $n.part; done; tar -cf packed.tar *.part"
        return JobPlan(
            recipe=self.name,
            actor=None,
            host=request.host.name,
            intent={"recipe": self.name, "files": count},
            steps=(CommandStep("running", ("sh", "-c", script)),),
            gpus=request.gpus or 0,
            progress=FileProgress("*.part", count),
            wall_s=request.wall_s,
        )

    def repeat(
        self, spec: JobSpec, files: Mapping[str, bytes], host: SshHost | LocalHost, actor: Actor | None
    ) -> JobRequest:
        return JobRequest(host, PackOptions(files=spec.intent["files"]), actor, spec.gpus, spec.wall_s)

    def tools(self, spec: JobSpec) -> tuple[str, ...]:
        return ()

    def needs_input(self, facts: None) -> None:
        pass

    def find_resumable(self, files: Mapping[str, bytes], folders: Sequence[Path]) -> None:
        pass

    def verify_results(self, folder: Path) -> None:
        if not (folder / "packed.tar").is_file():
            raise NotFoundError("there is no packed.tar", where=str(folder))


PACK = Pack()

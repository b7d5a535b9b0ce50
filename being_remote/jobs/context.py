"""What the functions on jobs work with; a workflow makes one for each command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from being_remote.errors import UsageError
from being_remote.inventory import Actor, Inventory, LocalHost, SshHost
from being_remote.jobs.ledger import Ledger, LedgerJob
from being_remote.jobs.preflight import Preflight
from being_remote.jobs.recipe import FindRecipe
from being_remote.pod.job_states import JobState
from being_remote.session import OnProgress, OpenSession, Session

if TYPE_CHECKING:
    from being_remote.transfer.checked_files import Judge
    from being_remote.transfer.staged_upload import UploadResult


class UploadInput(Protocol):
    """Puts an actor's video and identity on a host, or says what would be sent."""

    def __call__(
        self,
        session: Session,
        host: SshHost | LocalHost,
        actor: Actor,
        *,
        dry_run: bool,
        on_progress: OnProgress,
    ) -> UploadResult: ...


@dataclass(frozen=True)
class JobContext:
    """The inventory, the ledger, and the ways to hosts, recipes and an actor's input.

    Attributes:
        open_session: opens a session with a host, by its name.
        find_recipe: finds a recipe by its name; raises UsageError for an unknown one.
        upload_input: uploads an actor's input.
        judge: says of a job's result whether it is whole.
        preflight: refuses a job that cannot run on its host.
        again: jobs start also beside another ledger's of the same intent.
    """

    inventory: Inventory
    ledger: Ledger
    open_session: OpenSession
    find_recipe: FindRecipe
    upload_input: UploadInput
    judge: Judge
    preflight: Preflight
    again: bool = False

    def host_of(self, job: LedgerJob) -> SshHost | LocalHost:
        """The host where the job is.

        Raises:
            UsageError: the inventory does not name it any more.
        """
        if job.host in self.inventory.hosts:
            return self.inventory.host(job.host)
        ways, folder = [f"name {job.host} in the inventory again"], self.result_folder(job)
        if not job.ended:
            elsewhere = f"resume {job.job} --host OTHER --pod-is-gone"
            ways.append(f"if its pod is gone for good: cancel {job.job} --pod-is-gone, or {elsewhere}")
        elif job.state is not JobState.SUCCEEDED:
            ways.append(f"resume {job.job} --host OTHER continues elsewhere")
        if folder.is_dir():
            ways.append(f"what was downloaded is in {folder}")
        raise UsageError(
            f"{job.job} is on {job.host}, which the inventory does not name any more",
            where=str(self.inventory.path),
            hint="; ".join(ways),
        )

    def pull_words(self, job: str, recipe: str) -> str:
        """The command that downloads what a job made."""
        return f"pull {job}" if self.has_results(recipe) else f"pull {job} --all"

    def has_results(self, recipe: str) -> bool:
        """Whether a recipe names results, so that `pull` needs no --all; also of one that is unknown here."""
        try:
            return bool(self.find_recipe(recipe).results)
        except UsageError:
            return True

    def result_folder(self, job: LedgerJob) -> Path:
        """The job's folder in the actor's backup."""
        from being_remote.jobs.result_download import folder_of  # a submit downloads nothing

        return folder_of(self.inventory, job)

"""`safe-to-stop`: may this pod be stopped? Every reason against it, each with the next command.

Yes only if all that it holds is local with the bytes that it has now, no job is at work, and nothing is
unknown. It starts and changes nothing on either side and takes no lock, so it may run beside a sync, a watch,
or from cron. What is local is known from hashes made on the host, the manifests here and the sizes of the
local files; `sync --verify` reads them again.
"""

from __future__ import annotations

from being_remote.errors import HostError, UnrequestedFile, UsageError
from being_remote.inventory import Inventory
from being_remote.recipes.registry import find_recipe
from being_remote.safe_to_stop.job_results import ALL_FILES, ResultPatterns
from being_remote.safe_to_stop.stop_check import SafeReport, StopCheck


def safe_to_stop(inventory: Inventory, *, host: str | None = None, look_again: bool = False) -> SafeReport:
    """Check whether a host may be stopped.

    Args:
        host: its name; default: the only one.
        look_again: something follows a yes, so check at the end whether a job has started meanwhile.

    Raises:
        UsageError: no such host.
    """
    from being_remote.transport import open_session

    check = StopCheck(inventory, inventory.the_host(host), _find_patterns)
    try:
        with open_session(check.host, inventory, remember=False) as session:
            check.run(session, look_again=look_again)
    except (HostError, UnrequestedFile) as e:
        check.note_failure(e)
    return check.report()


def _find_patterns(name: str | None) -> ResultPatterns:
    try:
        found = find_recipe(name or "")
    except UsageError:  # of a later version, or of a spec that cannot be read
        return ALL_FILES
    return ResultPatterns(found.results, found.more_results)

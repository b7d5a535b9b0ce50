"""`invoke X` is `being-remote X`: the tasks are made from the Typer app, so there is one definition."""

from being_remote.cli.invoke_tasks import collection

namespace = collection()

"""Both programs, `being-remote X` and `invoke X`: the same commands, answers and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from programs import PROGRAMS, Program, run_in

from being_remote import __version__
from being_remote.cli import main
from being_remote.cli.app import app
from being_remote.demo.actor import make_actor
from being_remote.demo.pod import Pod
from being_remote.inventory import Inventory

JOB_COMMANDS = {"retrack", "jobs", "logs", "cancel", "pull", "resume", "forget", "run"}
RUN_COMMANDS = {"recover", "analyze", "compare"}
HOST_COMMANDS = {"hosts", "doctor", "trust", "safe-to-stop", "ssh", "init"}
COMMANDS = {"find-bbox", "sync", "push", "demo", *HOST_COMMANDS, *JOB_COMMANDS, *RUN_COMMANDS}


def test_every_command_is_in_both_programs(tmp_path: Path) -> None:
    names = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # it is a group
    assert names == COMMANDS
    listed = run_in(tmp_path, *PROGRAMS["invoke"], "--list").stdout
    assert {
        line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "
    } == COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_says_what_every_option_does_and_nothing_is_contacted(program: Program, command: str) -> None:
    done = program(command, "--help")
    assert done.returncode == 0, done.stderr
    for option in ("--json", "--verbose"):
        assert option in done.stdout


def single_options() -> list[tuple[str, str]]:
    """Every option of every command that has one value."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    return [
        (name, option.opts[0])
        for name, command in commands.items()
        for option in command.params
        if option.param_type_name == "option" and not option.is_flag and not option.multiple
    ]


def test_an_option_that_takes_one_value_is_refused_when_it_is_given_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = single_options()
    assert ("retrack", "--host") in options and ("recover", "--actor") in options and len(options) > 40
    for command, option in options:
        with pytest.raises(SystemExit) as ended:
            main([command, option, "1", f"{option}=2", "--json"])
        said = json.loads(capsys.readouterr().out)
        assert ended.value.code == 2, (command, option)
        assert f"{option} is given 2 times" in said["error"]["what"], (command, option)


def test_an_actor_that_is_given_twice_is_refused_by_both_programs(program: Program, inventory: Path) -> None:
    done = program("find-bbox", "--actor", "a", "--actor", "b")
    assert done.returncode == 2 and "--actor is given 2 times" in done.stderr
    both = program("hosts", "--host", "pod", "--host", "nobody")
    assert both.returncode == 2 and "nobody" in both.stderr  # this one takes several


@pytest.mark.parametrize("command", sorted(JOB_COMMANDS - {"retrack", "jobs", "run"}))
def test_an_unknown_job_is_3_and_one_must_be_named(program: Program, inventory: Path, command: str) -> None:
    done = program(command, "nope", "--json")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["error"]["class"] == "NotFoundError"
    assert program(command).returncode in (1, 2)
    assert program(command, "--json").returncode in (1, 2)  # an option is never taken for a job's name
    assert program(command, "--bogus").returncode in (1, 2)


def test_all_stands_in_place_of_a_job_in_both_programs(program: Program, inventory: Path) -> None:
    done = program("cancel", "--all", "--host=pod", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"host": "pod", "jobs": [], "dry_run": False}
    assert program("cancel", "nope", "--all", "--host=pod", "--json").returncode == 2


def test_two_positional_words_keep_their_order_through_both_programs(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "a.yml").write_text("fps: 30\n")
    (tmp_path / "b.yml").write_text("fps: 50\n")
    done = program("compare", "a.yml", "b.yml", "--json")
    assert done.returncode == 0, done.stderr
    (change,) = json.loads(done.stdout)["config_changes"]
    assert (change["key"], change["before"], change["after"]) == ("fps", 30, 50)
    assert program("compare", "a.yml").returncode in (1, 2)
    assert program("compare", "a.yml", "nope", "--json").returncode == 3
    assert program("compare", "a.yml", "b.yml", "--plot=x.png").returncode == 2


def test_a_frame_is_analyzed_through_both_programs_without_an_inventory(
    program: Program, tmp_path: Path
) -> None:
    made = make_actor(tmp_path, "demo", frames=1, pictures=False)
    frame = made.output_folder / "checkpoint" / "00000.frame"
    done = program("analyze", str(frame), "--source-size=1920x1080", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["frame_id"] == "00000" and document["source"]["source_size_wh"] == [1920, 1080]
    frame.rename(frame.with_name("00007.frame"))
    done = program("analyze", str(frame.with_name("00007.frame")), "--json")
    assert done.returncode == 6 and json.loads(done.stdout)["problems"] != []
    assert program("analyze", str(frame)).returncode == 3
    assert program("analyze", str(made.input_folder / "bbox.pt")).returncode == 2
    assert program("analyze").returncode in (1, 2)


def test_follow_has_no_short_form(program: Program, inventory: Path) -> None:
    assert program("logs", "nope", "--follow").returncode == 3
    assert program("logs", "nope", "-f").returncode in (1, 2)


def test_settings_can_be_repeated_and_hold_lists_through_both_programs(
    program: Program, inventory: Path
) -> None:
    done = program("retrack", "--set=image_size=[768, 768]", "--set=bbox_scale=3.5", "--dry-run", "--json")
    # Nothing is listening there; what counts is that all of it was understood.
    assert done.returncode in (2, 4), done.stderr
    assert "image_size" not in json.loads(done.stdout)["error"]["what"]


def test_a_push_to_a_host_without_a_tracker_is_2_and_nothing_is_contacted(
    program: Program, inventory: Path
) -> None:
    for words in ((), ("--tracker=.",), ("--actor=demo", "--dry-run")):
        done = program("push", *words, "--json")
        assert done.returncode == 2, done.stderr
        assert "has no `tracker:`" in json.loads(done.stdout)["error"]["what"]


def test_a_preset_is_explained_without_an_inventory(program: Program, tmp_path: Path) -> None:
    done = program("retrack", "--show-preset=full-face", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["settings"]["optimize_jaw"] is True


def test_an_unknown_host_is_2_and_the_known_ones_are_listed(program: Program, inventory: Path) -> None:
    done = program("find-bbox", "--host=nope")
    assert done.returncode == 2
    assert "no host named 'nope'" in done.stderr and "known hosts: pod" in done.stderr
    assert done.stdout == ""


def test_an_error_with_json_is_one_document_on_stdout(program: Program, inventory: Path) -> None:
    done = program("sync", "--host=nope", "--json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert document["exit_code"] == 2
    assert document["error"]["class"] == "UsageError"
    assert "known hosts: pod" in document["error"]["next"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("retrack", "--frobnicate", "--json"), "--frobnicate"),
        (("frobnicate", "--json"), "No such command"),
        (("retrack", "--json", "--gpus", "many"), "'--gpus'"),
        (("logs", "--follow", "--json"), "Missing argument"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_an_error_document_too(
    tmp_path: Path, words: tuple[str, ...], what: str
) -> None:
    done = run_in(tmp_path, *PROGRAMS["being-remote"], *words)
    assert done.returncode == 2 and what in done.stderr
    document = json.loads(done.stdout)
    assert document["exit_code"] == 2 and what in document["error"].pop("what")
    command = " ".join(["being-remote", *(w for w in words[:1] if w in COMMANDS)])
    assert document["error"] == {"class": "UsageError", "where": command, "next": f"{command} --help"}
    assert done.stdout.count("\n") == (1 if "--follow" in words else 9)
    for_people = run_in(tmp_path, *PROGRAMS["being-remote"], *(w for w in words if w != "--json"))
    assert (for_people.returncode, for_people.stdout, for_people.stderr) == (2, "", done.stderr)


def test_a_wrong_inventory_is_2_and_names_the_field(program: Program, inventory: Path) -> None:
    inventory.write_text("hosts: {pod: {adress: x, workdir: /w}}\n")
    done = program("hosts")
    assert done.returncode == 2
    assert "hosts.pod.adress: unknown field" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_an_inventory_the_next_step_is_named(program: Program, tmp_path: Path) -> None:
    done = program("hosts")
    assert (done.returncode, "--inventory FILE" in done.stderr) == (2, True)


def test_a_host_that_is_down_is_4(program: Program, inventory: Path) -> None:
    done = program("find-bbox", "--json")
    assert done.returncode == 4, done.stderr
    (down,) = [r for r in json.loads(done.stdout)["results"] if r["host"] == "pod"]
    assert down["reachable"] is False
    assert down["error"]


def test_whether_a_host_that_is_down_may_be_stopped_is_not_known(program: Program, inventory: Path) -> None:
    done = program("safe-to-stop", "--host=pod", "--json")
    assert done.returncode == 4, done.stderr
    document = json.loads(done.stdout)
    assert (document["host"], document["safe"], document["idle_s"]) == ("pod", None, None)
    (reason,) = document["reasons"]
    assert (reason["about"], reason["verdict"]) == ("host", "unknown") and reason["what"] and reason["next"]
    assert program("safe-to-stop", "--host=nope").returncode == 2


def test_a_valueless_host_is_an_error_and_never_means_every_host(program: Program, inventory: Path) -> None:
    for words in (["find-bbox", "--host"], ["sync", "--host"]):
        done = program(*words)
        assert done.returncode in (1, 2), done.stdout
        assert done.stdout == ""


def test_h_shows_help_through_invoke_and_never_becomes_host(invoke: Program, inventory: Path) -> None:
    done = invoke("find-bbox", "-h")
    assert done.returncode == 0
    assert "--host" in done.stdout and "Usage" in done.stdout


@pytest.mark.parametrize("flag", ["--dry", "-R"])
def test_invokes_own_dry_run_is_ours(
    invoke: Program, pod: Pod, make_inventory: Callable[..., Inventory], tmp_path: Path, flag: str
) -> None:
    make_inventory({"pod": pod})
    (tmp_path / "state" / "known_hosts").unlink()
    done = invoke(flag, "trust", "--host=pod", f"--fingerprint={pod.fingerprint}", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dry_run"] is True
    assert not (tmp_path / "state" / "known_hosts").exists()


def test_an_option_can_be_repeated_through_both_programs(program: Program, inventory: Path) -> None:
    done = program("hosts", "--host=pod", "--host=nope")
    assert done.returncode == 2
    assert "no host named 'nope'" in done.stderr


def test_a_value_with_a_leading_dash_never_becomes_an_option(program: Program, inventory: Path) -> None:
    done = program("find-bbox", "--actor=--json")
    # Typer takes it for a name that nobody has; Invoke says that a value is missing.
    assert done.returncode == (1 if "needed value" in done.stderr else 2)
    assert "needed value" in done.stderr or "no actor named '--json'" in done.stderr
    assert done.stdout == ""


def test_the_version_is_printed(tmp_path: Path) -> None:
    done = run_in(tmp_path, *PROGRAMS["being-remote"], "--version")
    assert (done.returncode, done.stdout) == (0, f"being-remote {__version__}\n")


def test_an_unknown_option_is_2_and_through_invoke_1(tmp_path: Path) -> None:
    assert run_in(tmp_path, *PROGRAMS["being-remote"], "sync", "--bogus").returncode == 2
    assert run_in(tmp_path, *PROGRAMS["invoke"], "sync", "--bogus").returncode == 1


@pytest.mark.parametrize("size", ["1920", "1920x", "x1080", "0x1080", "1920x1080x3", "-1x5", "axb", "１x２"])
def test_a_source_size_of_another_form_is_2(program: Program, inventory: Path, size: str) -> None:
    done = program("recover", f"--source-size={size}")
    assert done.returncode == 2
    assert "WIDTHxHEIGHT" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--canvas=768"], "WIDTHxHEIGHT"),
        (["--bbox=a.pt", "--from-images=v.mp4"], "two ways to one crop"),
        (["--box=1,2,3", "--run=nobody"], "X_MIN,X_MAX,Y_MIN,Y_MAX"),
        (["--box=5,1,0,9", "--run=nobody"], "has no area"),
        (["--box=1,5,0,9", "--bbox=a.pt"], "two ways to one crop"),
        (["--from-images=v.mp4", "--from-landmarks=kpt"], "two ways to one crop"),
        (["--run=nobody", "--write-bbox", "--no-check", "--force", "--plot", "--with-images"], "nobody"),
        (
            [
                "--run=nobody",
                "--canvas=crop",
                "--allow-off-centre",
                "--what-if=bbox_scale=3",
                "--what-if=image_size=768",
            ],
            "nobody",
        ),
    ],
)
def test_every_way_and_option_of_recover_is_understood_through_both_programs(
    program: Program, inventory: Path, words: list[str], said: str
) -> None:
    done = program("recover", *words, "--json")
    assert done.returncode == (3 if said == "nobody" else 2), done.stderr
    error = json.loads(done.stdout)["error"]
    assert said in f"{error['what']} {error['next']}"


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error_and_no_bug(tmp_path: Path, inventory: Path) -> None:
    for words in (["sync", "--help"], ["hosts"], ["hosts", "--json"]):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = subprocess.run(
                [*PROGRAMS["being-remote"], *words],
                cwd=tmp_path,
                stdout=writer,
                stderr=subprocess.PIPE,
                timeout=60,
            )
        finally:
            os.close(writer)
        assert (done.returncode, done.stderr) == (141, b""), words

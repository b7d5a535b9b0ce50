"""Whose key is trusted, what counts as an answer, and how the end of a transfer is read: rule by rule."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import os
import queue
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest

from being_remote.errors import (
    AnswerTimeout,
    CommandFailed,
    ConnectionLost,
    HostError,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    MalformedAnswer,
    ToolMissing,
    Unreachable,
    UnsafeFile,
)
from being_remote.inventory import LocalHost, SshHost
from being_remote.session import PARTIAL_DIR, Pull, Push, Result
from being_remote.transport import (
    connection,
    host_keys,
    openssh,
    requests,
    rsync,
    rsync_process,
    ssh_session,
    stream_upload,
)
from being_remote.transport.address_command import find_address
from being_remote.transport.host_keys import HostKey, KnownHosts, parse_key, require_trusted, trusted_keys
from being_remote.transport.local_session import LocalSession
from being_remote.transport.login_keys import KeyLogin
from being_remote.transport.output_framing import (
    CommandInput,
    EndlessGreeting,
    MarkReader,
    TooMuchOutput,
    _Conversation,
    frame_command,
)
from being_remote.transport.requests import NotSent
from being_remote.transport.rsync_process import Garbled, RsyncTask, _bounded, _fail, _is_harmless
from being_remote.transport.ssh_config import Hop
from being_remote.transport.ssh_session import SshSession

POD = SshHost.model_validate({"name": "pod", "address": "203.0.113.10", "port": 2222, "workdir": "/w"})


def key(number: int, kind: str = "ssh-ed25519") -> HostKey:
    return HostKey(kind, len(kind).to_bytes(4, "big") + kind.encode() + bytes([number]) * 32)


def hop(**more: Any) -> Hop:
    fields: dict[str, Any] = {"hostname": "203.0.113.10", "port": 2222, "user": "root", "agent": None}
    fields |= {"identity_files": (), "identities_only": True, "proxy_command": None}
    fields |= {"known_name": "[203.0.113.10]:2222", "known_hosts_files": ()}
    return Hop(**{**fields, **more})


# -- keys -----------------------------------------------------------------------------------------------


def test_only_the_very_key_is_trusted() -> None:
    require_trusted([key(1), key(2)], key(2), host="pod", address="a")
    with pytest.raises(HostKeyChanged) as raised:
        require_trusted([key(1), key(3, "ssh-rsa")], key(2), host="pod", address="a")
    assert key(1).fingerprint in str(raised.value) and key(2).fingerprint in str(raised.value)
    with pytest.raises(HostKeyUnknown):
        require_trusted([], key(2), host="pod", address="a")


def test_a_key_is_of_the_kind_that_it_says_itself() -> None:
    assert parse_key(key(1).line) == key(1)
    blob = base64.b64encode(key(1).blob).decode()
    for line in (f"ssh-rsa {blob}", "ssh-ed25519 AAAA", "ssh-ed25519", f"{blob}"):
        with pytest.raises(ValueError):
            parse_key(line)


def test_a_key_of_the_users_never_replaces_one_that_is_trusted(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "state")
    known.add_if_unknown("pod", [key(1)])
    known.add_if_unknown("pod", [key(2)])
    known.add_if_unknown("other", [key(3)])
    assert (known.keys("pod"), known.keys("other")) == ((key(1),), (key(3),))
    known.replace("pod", [key(2)])
    assert (known.keys("pod"), known.keys("other")) == ((key(2),), (key(3),))


def test_our_file_of_keys_is_written_whole_through_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(host_keys, "sync_descriptor", synced.append)
    known = KnownHosts(tmp_path / "state")
    known.replace("pod", [key(1)])
    assert len(synced) == 1
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "state/.known_hosts.new").symlink_to(tmp_path / "mine")
    with pytest.raises(Exception, match="cannot be used"):
        known.replace("pod", [key(2)])
    assert (tmp_path / "mine").read_text() == "mine" and known.keys("pod") == (key(1),)


def test_revoked_keys_and_authorities_of_the_user_count_for_nothing(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    name = "[203.0.113.10]:2222"
    lines = [f"{name} {key(n).line}" for n in (1, 2)]
    lines += [f"@revoked {name} {key(2).line}", f"@cert-authority {name} {key(3).line}"]
    file.write_text("\n".join(lines) + "\n")
    assert host_keys.read_user_keys(hop(known_hosts_files=(file,))) == (key(1),)


@pytest.mark.parametrize("remember", [True, False])
def test_a_pin_is_the_targets_and_a_dry_run_copies_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remember: bool
) -> None:
    monkeypatch.setattr(host_keys, "read_user_keys", lambda _: (key(2),))
    known = KnownHosts(tmp_path / "state")
    pinned = POD.model_copy(update={"host_key": key(1).line})
    hops = (hop(known_name="jump"), hop(known_name="pod"))
    found = trusted_keys(hops, pinned, tmp_path / "i.yaml", known, remember=remember)
    assert found == [(key(2),), (key(1),)]
    assert known.keys("jump") == ((key(2),) if remember else ())


def test_the_agents_other_keys_are_offered_only_where_the_user_did_not_name_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent_key = SimpleNamespace(asbytes=lambda: b"k", get_name=lambda: "ssh-ed25519")
    agent = SimpleNamespace(get_keys=lambda: [agent_key], close=lambda: None)
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere")
    monkeypatch.setattr("being_remote.transport.login_keys.paramiko.Agent", lambda: agent)
    for only, offered in ((True, 0), (False, 1)):
        with contextlib.ExitStack() as stack:
            assert len(list(KeyLogin(hop(identities_only=only), "pod")._keys(stack))) == offered


def test_ssh_is_told_the_known_name_of_each_hop_and_no_tokens_of_its_own() -> None:
    ssh = openssh.OpenSsh([hop(proxy_command="nc %h 22", agent="/run/a%b")], [[key(1)]], connect_timeout_s=5)
    try:
        config = Path(ssh.shell[-1]).read_text()
    finally:
        ssh.close()
    words = {line.strip() for line in config.splitlines()}
    assert "HostKeyAlias [203.0.113.10]:2222" in words
    assert "ProxyCommand nc %%h 22" in words and "IdentityAgent /run/a%%b" in words
    for rule in (
        "StrictHostKeyChecking yes",
        "GlobalKnownHostsFile none",
        "UpdateHostKeys no",
        "ForwardAgent no",
    ):
        assert rule in words


def test_a_login_knows_the_trusted_key_alone_and_lends_the_host_no_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key_pair, stranger = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
    client, made_with = paramiko.SSHClient(), {}
    live = paramiko.Transport.__new__(paramiko.Transport)  # without a socket
    monkeypatch.setattr(live, "set_keepalive", lambda _: None, raising=False)
    monkeypatch.setattr(client, "get_transport", lambda: live)

    def fabric_connection(_: str, **more: Any) -> Any:
        made_with.update(more)
        return SimpleNamespace(client=client, open=lambda: None)

    monkeypatch.setattr(connection, "dial", lambda *_, **__: SimpleNamespace(socket=None))
    monkeypatch.setattr(connection.fabric, "Connection", fabric_connection)
    ssh: Any = None
    connection.Connection(POD, (hop(),), ((HostKey.of(key_pair),),), ssh)._connect()
    known = client.get_host_keys().lookup("[203.0.113.10]:2222")
    assert known is not None and list(known) == [key_pair.get_name()]
    assert made_with["forward_agent"] is False
    limits = {made_with["connect_kwargs"][f"{step}_timeout"] for step in ("banner", "auth", "channel")}
    assert limits == {POD.connect_timeout_s}
    with pytest.raises(HostKeyUnknown):
        client._policy.missing_host_key(client, "pod", stranger)  # type: ignore[attr-defined]  # no getter


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (Unreachable("no", host="pod"), 2),
        (LoginRefused("no", host="pod"), 1),
        (HostKeyUnknown(host="pod", address="a", fingerprint="SHA256:x"), 1),
    ],
)
def test_only_a_host_that_is_not_reached_is_dialled_again(
    error: Exception, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def once(_: Any) -> Any:
        tried.append(1)
        if len(tried) == 1:
            raise error

    monkeypatch.setattr(connection.Connection, "_connect", once)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    ssh: Any = None
    with contextlib.suppress(type(error)):
        connection.Connection(POD, (hop(),), ((),), ssh).transport()
    assert len(tried) == tries


def test_no_login_goes_over_a_machine_whose_key_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "read_host_key", lambda *_: key(2))
    ssh: Any = None
    way = connection.Connection(POD, (hop(), hop()), ((key(1),), (key(1),)), ssh)
    with pytest.raises(HostKeyChanged):
        way.require_trusted_hops(1)


def test_a_request_that_did_not_leave_may_be_sent_again_and_one_that_left_may_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise EOFError

    channel = SimpleNamespace(exec_command=broken)
    for open_session, sent in ((broken, False), (lambda **_: channel, True)):
        transport = SimpleNamespace(open_session=open_session, close=lambda: None)
        way: Any = SimpleNamespace(transport=lambda transport=transport: transport)
        ask = requests.FabricRequests(way, "pod", 5.0, lambda: None)
        with pytest.raises(ConnectionLost) as raised:
            ask.start(frame_command(["true"], has_input=False), "true")
        assert isinstance(raised.value, NotSent) is not sent


@pytest.mark.parametrize(("code", "ended"), [(0, True), (255, True), (-1, False)])
def test_a_command_without_an_exit_code_did_not_end_by_itself(code: int, ended: bool) -> None:
    status = SimpleNamespace(wait=lambda _: True)
    channel = SimpleNamespace(
        exec_command=lambda _: None, status_event=status, recv_exit_status=lambda: code, shutdown_write=None
    )
    transport = SimpleNamespace(open_session=lambda **_: channel, close=lambda: None)
    way: Any = SimpleNamespace(transport=lambda: transport)
    ask = requests.FabricRequests(way, "pod", 5.0, lambda: None)
    assert ask.start(frame_command(["true"], has_input=False), "true").has_ended() is ended


@pytest.mark.parametrize(
    ("script", "why"),
    [("echo 203.0.113.9 2222; exit 3", "ended with 3"), ("echo 203.0.113.9 70000", "must print")],
)
def test_an_address_of_a_command_that_failed_or_cannot_be_is_not_used(script: str, why: str) -> None:
    with pytest.raises(Unreachable, match=why):
        find_address(POD.model_copy(update={"address_command": ("sh", "-c", script)}))
    good = POD.model_copy(update={"address_command": ("sh", "-c", "echo 203.0.113.9 65535")})
    assert (find_address(good).address, find_address(good).port) == ("203.0.113.9", 65_535)


# -- answers ----------------------------------------------------------------------------------------------


def conversation(given: CommandInput, *chunks: tuple[str, bytes], limit: int = 100) -> tuple[Any, list[Any]]:
    """What comes of these chunks, and what was sent."""
    orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    said: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    for chunk in chunks:
        said.put(chunk)
    answer = _Conversation(given, b"MARK", orders).read(said, limit=limit, timeout_s=0.2)
    sent = []
    while not orders.empty():
        sent.append(orders.get())
    return answer, sent


def test_nothing_is_sent_before_the_host_listens() -> None:
    given = CommandInput(b"secret")
    quiet, sent = conversation(given, ("out", b"welcome\n"), ("out", b""), ("err", b""))
    assert (quiet.listens, quiet.was_fed, quiet.exit_code, sent) == (False, False, None, [])
    answer, sent = conversation(given, ("out", b"welcome\nMARK"), ("out", b"xMARK0:"), ("err", b"MARK"))
    assert (bytes(answer.out), answer.exit_code, sent) == (b"x", 0, [b"\nsecret", None])


def test_an_answer_has_its_bound_on_both_streams() -> None:
    for name in ("out", "err"):
        with pytest.raises(TooMuchOutput):
            conversation(CommandInput(), ("out", b"MARK"), (name, b"x" * 101), ("out", b"MARK0:"))


def test_a_mark_that_comes_in_any_two_pieces_is_found() -> None:
    whole = b"hello MARKoutMARK255:"
    for cut in range(len(whole)):
        reader = MarkReader(b"MARK")
        assert reader.feed(whole[:cut]) + reader.feed(whole[cut:]) == b"out"
        assert (reader.greeting, reader.exit_code) == (b"hello ", 255)


def test_a_login_that_prints_without_end_is_given_up() -> None:
    with pytest.raises(EndlessGreeting):
        conversation(CommandInput(), *[("out", b"x" * (1 << 20))] * 2)


def test_no_two_commands_have_one_mark() -> None:
    marks = {frame_command(["true"], has_input=False).mark for _ in range(3)}
    assert len(marks) == 3 and all(len(mark) == 33 for mark in marks)


def test_a_command_is_given_the_time_that_was_asked_for_and_no_answer_is_none() -> None:
    with LocalSession(LocalHost(name="here", workdir="/", answer_timeout_s=30)) as session:
        with pytest.raises(AnswerTimeout, match=r"within 0.2 s"):
            session.run(["sleep", "5"], timeout_s=0.2)
        with pytest.raises(ConnectionLost, match="unknown"):
            session.run(["sh", "-c", "kill -9 $PPID"])
        assert session.run(["sh", "-c", "exit 255"]).exit_code == 255


def ssh_session_of(error: list[Exception], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[int]]:
    """A session each of whose tries fails so, until none is left."""
    made = SshSession.__new__(SshSession)
    made._inventory_host, tries = POD, [0]

    def once(*_: Any) -> Result:
        tries[0] += 1
        if error:
            raise error.pop(0)
        return Result("pod", (), 0, b"", b"", 0.0)

    monkeypatch.setattr(made, "_run_once", once)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    return made, tries


@pytest.mark.parametrize(
    ("error", "repeatable", "tries"),
    [
        (ConnectionLost("broke", host="pod"), True, 2),
        (ConnectionLost("broke", host="pod"), False, 1),
        (NotSent("broke", host="pod"), False, 2),
        (AnswerTimeout("silent", host="pod"), True, 1),
        (LoginRefused("no", host="pod"), True, 1),
    ],
)
def test_only_what_may_be_carried_out_twice_is_sent_again(
    error: HostError, repeatable: bool, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, tried = ssh_session_of([error], monkeypatch)
    if tries == 1:
        with pytest.raises(type(error)):
            session.run(["true"], repeatable=repeatable)
    else:
        session.run(["true"], repeatable=repeatable)
    assert tried == [tries]


def test_a_changed_key_is_said_also_where_fabric_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(error: HostError) -> Any:
        def raise_it(*_: Any) -> None:
            raise error

        return raise_it

    for second in (
        HostKeyUnknown(host="pod", address="a", fingerprint="SHA256:x"),
        HostKeyChanged(host="pod", address="a", trusted="SHA256:x", shown="SHA256:y"),
    ):
        made = SshSession.__new__(SshSession)
        made._hops = (hop(),)
        made._connection = SimpleNamespace(transport=refuse(LoginRefused("no", host="pod")))  # type: ignore[assignment]  # enough
        monkeypatch.setattr(made, "_take_openssh", refuse(second))
        with pytest.raises(type(second)):
            made._choose_way()


def test_small_files_that_were_refused_are_said_once_the_large_ones_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = SshSession.__new__(SshSession)
    made._inventory_host = POD
    names = (*(b"%03d" % n for n in range(64)), b"large")
    sizes = (1,) * 64 + (1 << 21,)
    request = Pull(PurePosixPath("/w"), names, sizes, tmp_path, tmp_path / "none")
    pulled: list[int] = []

    def refuse(*_: Any) -> Any:
        raise CommandFailed("a file cannot be read", host="pod", result=None)

    def large(part: Pull, *_: Any) -> Any:
        pulled.append(len(part.names))
        return ssh_session.TransferResult(1, 1, "rsync")

    monkeypatch.setattr(made, "_pull_small", refuse)
    monkeypatch.setattr(made, "_pull_large", large)
    with pytest.raises(CommandFailed, match="cannot be read"):
        made.pull(request)
    assert pulled == [1]


# -- rsync --------------------------------------------------------------------------------------------------


def test_an_rsync_that_is_missing_or_too_old_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, refused in ((None, True), ((3, 2, 4), True), ((3, 2, 5), False)):
        monkeypatch.setattr(rsync, "version", lambda found=found: found)
        if refused:
            with pytest.raises(ToolMissing):
                rsync.require_rsync()
        else:
            rsync.require_rsync()


@pytest.mark.parametrize("name", [b"../a", b"/a", b"a/../../b", b""])
def test_rsync_is_given_no_name_that_leaves_its_folder(tmp_path: Path, name: bytes) -> None:
    pulled = Pull(PurePosixPath("/w"), (name,), (1,), tmp_path / "into", tmp_path / "none")
    with pytest.raises(UnsafeFile):
        rsync.pull(pulled, host="pod", remote=None)
    with pytest.raises(UnsafeFile):
        rsync.push(Push(tmp_path, (name,), PurePosixPath("/w"), 1), host="pod", remote=None)
    assert not (tmp_path / "into").exists()


def test_rsync_fetches_plain_files_of_bounded_size_alone(tmp_path: Path) -> None:
    words = rsync.pull_words(Pull(PurePosixPath("/w"), (b"a",), (1,), tmp_path, tmp_path / "none"), None, 77)
    assert {"--no-links", "--no-devices", "--no-specials", "--max-size=77", "-s"} <= set(words)
    assert not {"--delete", "--links", "-l", "-a", "--inplace"} & set(words)


def test_a_half_file_is_dropped_only_if_it_is_larger_than_the_file_was(tmp_path: Path) -> None:
    request = Pull(PurePosixPath("/w"), (b"a", b"b"), (3, 3), tmp_path, tmp_path / "none")
    (tmp_path / PARTIAL_DIR).mkdir()
    for name, size in (("a", 3), ("b", 4)):
        (tmp_path / PARTIAL_DIR / name).write_bytes(bytes(size))
    assert rsync._drop_outgrown(request) and not rsync._drop_outgrown(request)
    assert os.listdir(tmp_path / PARTIAL_DIR) == ["a"]


def test_what_a_killed_rsync_was_writing_is_continued_and_a_wanted_file_of_such_a_name_stays(
    tmp_path: Path,
) -> None:
    request = Pull(PurePosixPath("/w"), (b"a", b".b.Xy12zQ"), (3, 3), tmp_path, tmp_path / "none")
    for name in (".a.Xy12zQ", ".b.Xy12zQ"):
        (tmp_path / name).write_bytes(name.encode())
    rsync._keep_half_files(request)
    assert (tmp_path / PARTIAL_DIR / "a").read_bytes() == b".a.Xy12zQ"
    assert (tmp_path / ".b.Xy12zQ").exists() and not (tmp_path / ".a.Xy12zQ").exists()


TASK = RsyncTask("pod", "fetching", 10, most_bytes=(100, 1025))


def test_the_kernel_bounds_each_file_that_rsync_writes() -> None:
    assert _bounded(["rsync"], TASK)[3] == "3"
    assert _bounded(["rsync"], dataclasses.replace(TASK, most_bytes=None)) == ["rsync"]


def test_only_a_disk_that_refuses_times_or_rights_is_harmless() -> None:
    times = b'rsync: [receiver] failed to set times on "/w/a": Operation not permitted (1)\n'
    assert _is_harmless(23, times) and _is_harmless(23, times + times)
    unread = b'rsync: [sender] send_files failed to open "/w/b": Permission denied (13)\n'
    for code, message in ((23, times + unread), (23, unread), (23, b""), (12, times), (1, times)):
        assert not _is_harmless(code, message)


@pytest.mark.parametrize(
    ("code", "message", "has_moved", "kind"),
    [
        (255, b"", True, ConnectionLost),
        (12, b"rsync error: (code 12)", True, ConnectionLost),
        (12, b"", False, Garbled),
        (2, b"protocol", True, Garbled),
        (12, b"rsync error: error in file IO (code 11)", True, CommandFailed),
        (23, b"some failed", True, CommandFailed),
        (127, b"rsync: command not found", False, ToolMissing),
    ],
)
def test_each_end_of_rsync_has_its_error(
    code: int, message: bytes, has_moved: bool, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as raised:
        _fail(code, message, ["rsync"], dataclasses.replace(TASK, into=None), has_moved=has_moved)
    assert type(raised.value) is kind


def test_more_than_was_listed_stops_rsync(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [b"        100  99%  1.0MB/s", b"        101  99%  1.0MB/s"]
    monkeypatch.setattr(rsync_process, "_lines", lambda _: iter(lines))
    out: Any = SimpleNamespace(fileno=lambda: 0)
    with pytest.raises(rsync_process.Outgrown):
        rsync_process._watch(out, TASK, lambda _: None)
    monkeypatch.setattr(rsync_process, "_lines", lambda _: iter(lines[:1]))
    assert rsync_process._watch(out, TASK, lambda _: None) == {"done": 100}


@pytest.mark.parametrize("said", ["[]", "[1, 2]", "[-1]", "[5]"])
def test_a_host_has_no_more_of_a_file_than_there_is(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_upload, "run_program", lambda *_, **__: said.encode())
    file = stream_upload._File(Path("a"), b"a", 4, 1, 0o644)
    request = Push(Path("/"), (b"a",), PurePosixPath("/w"), 4)
    session: Any = SimpleNamespace(host="pod")
    with pytest.raises((HostError, MalformedAnswer)):
        stream_upload._find_missing([file], request, session, "python3")
    monkeypatch.setattr(stream_upload, "run_program", lambda *_, **__: b"[4]")
    assert stream_upload._find_missing([file], request, session, "python3") == [(file, 4)]


def test_an_upload_goes_on_where_the_host_stopped(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abcdef")
    written: list[bytes] = []
    pipe: Any = SimpleNamespace(write=written.append)
    file = stream_upload._File(tmp_path / "a", b"a", 6, 1, 0o644)
    request = Push(tmp_path, (b"a",), PurePosixPath("/w"), 6)
    assert stream_upload._send(file, 4, pipe, 0, request, lambda _: None) == 2
    assert written[1:] == [b"ef"]

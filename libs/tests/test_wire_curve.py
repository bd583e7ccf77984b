"""Key sets: what `websim keys` writes, who loads which part, what is said when one is bad."""

import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from websim.local.cli import run
from websim.local.keys import SERVICES, make_key_set, make_keys_by_service
from websim.service.errors import UserError
from websim.service.files import check_secret
from websim.service.tokens import load_token, load_tokens
from websim.wire.curve import load_peer_keys, load_server_keys


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "keys"
    make_key_set(directory)
    return directory


@pytest.fixture
def keys(made, tmp_path) -> Path:
    """A key set to spoil."""
    return Path(shutil.copytree(made, tmp_path / "keys"))


def copy_part(keys: Path, to: Path, *names: str) -> Path:
    for name in names:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(keys / name, to / name)
    return to


def overwrite(path: Path, text: str) -> None:
    path.chmod(0o600)
    path.write_text(text)


def modes(directory: Path) -> dict[str, int]:
    return {
        str(path.relative_to(directory)): path.stat().st_mode & 0o777
        for path in directory.rglob("*")
    }


def test_secrets_are_for_their_owner_only(keys):
    assert keys.stat().st_mode & 0o777 == 0o700
    assert modes(keys) == {
        "server.key": 0o444,
        "server.key_secret": 0o400,
        "worker.key_secret": 0o400,
        "client.key_secret": 0o400,
        "tokens": 0o400,
        "workers": 0o700,
        "workers/worker.key": 0o444,
        "clients": 0o700,
        "clients/client.key": 0o444,
    }


def test_modes_do_not_depend_on_the_umask(tmp_path):
    before = os.umask(0)
    try:
        make_key_set(tmp_path / "keys")
    finally:
        os.umask(before)
    assert modes(tmp_path / "keys")["server.key_secret"] == 0o400
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_each_role_needs_its_part_only(keys, tmp_path):
    server = copy_part(
        keys, tmp_path / "a", "server.key_secret", "workers/worker.key", "clients/client.key"
    )
    worker = copy_part(keys, tmp_path / "b", "server.key", "worker.key_secret")
    client = copy_part(keys, tmp_path / "c", "server.key", "client.key_secret")

    admitted = load_server_keys(server).admitted
    worker_keys, client_keys = load_peer_keys(worker, "worker"), load_peer_keys(client, "client")

    assert len(admitted["workers"]) == len(admitted["clients"]) == 1
    assert admitted["workers"] != admitted["clients"]
    assert worker_keys.server == client_keys.server
    assert worker_keys.public != client_keys.public


def test_two_key_sets_share_nothing(keys, tmp_path):
    make_key_set(tmp_path / "next")
    lines = [
        {
            line
            for path in files.rglob("*.*")
            for line in path.read_text().splitlines()
            if "=" in line
        }
        for files in (keys, tmp_path / "next")
    ]
    assert lines[0].isdisjoint(lines[1])
    assert load_tokens(keys / "tokens") != load_tokens(tmp_path / "next/tokens")


def test_several_keys_of_a_role_can_be_admitted(keys, tmp_path):
    shutil.copy(keys / "clients/client.key", keys / "workers/next.key")
    assert len(load_server_keys(keys).admitted["workers"]) == 2


def test_secrets_show_in_no_repr(keys):
    secret = re.search('secret-key = "(.*)"', (keys / "worker.key_secret").read_text())[1]
    assert load_peer_keys(keys, "worker").secret.decode() == secret
    assert secret not in repr(load_peer_keys(keys, "worker"))
    assert "secret" not in repr(load_server_keys(keys))


def test_a_key_set_is_never_overwritten_unless_told_to(keys, capsys):
    before = (keys / "server.key").read_bytes()
    with pytest.raises(UserError, match=r"holds keys already.*--force"):
        run(["keys", str(keys)])
    assert (keys / "server.key").read_bytes() == before

    assert run(["keys", str(keys), "--force"]) == 0
    assert (keys / "server.key").read_bytes() != before
    load_server_keys(keys)
    load_peer_keys(keys, "worker")


def test_the_command_says_what_each_file_is_for_and_what_to_type_next(tmp_path, capsys):
    assert run(["keys", str(tmp_path / "keys")]) == 0
    said = capsys.readouterr().out
    for path in (tmp_path / "keys").iterdir():
        assert path.name in said
    assert f"python -m websim_orchestrator --host ADDRESS --keys {tmp_path / 'keys'}" in said
    assert f"--token-file {tmp_path / 'keys' / 'tokens'}" in said


def test_a_directory_that_others_look_into_is_refused(tmp_path):
    tmp_path.chmod(0o755)
    with pytest.raises(UserError, match=r"others may look into .*mode 0755.*chmod 700"):
        make_key_set(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_hold_keys_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write keys to .*file"):
        make_key_set(tmp_path / "file" / "keys")


PUBLIC = 'curve\n    public-key = "{}"\n'


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda keys: shutil.rmtree(keys), "not a directory.*websim keys"),
        (lambda keys: (keys / "server.key").unlink(), "server.key: there is no such file"),
        (lambda keys: (keys / "worker.key_secret").unlink(), "worker.key_secret: no such file"),
        (lambda keys: (keys / "worker.key_secret").chmod(0o440), "mode 0440.*chmod 400"),
        (lambda keys: (keys / "worker.key_secret").chmod(0o404), "mode 0404.*chmod 400"),
        (lambda keys: overwrite(keys / "server.key", ""), "server.key holds no key"),
        (lambda keys: overwrite(keys / "server.key", "\x00\xff"), "server.key holds no key"),
        (
            lambda keys: overwrite(keys / "server.key", PUBLIC.format("short")),
            "server.key holds a damaged key",
        ),
        (
            lambda keys: overwrite(keys / "server.key", PUBLIC.format("#" * 40)),
            "server.key holds a damaged key",
        ),
        (
            lambda keys: (
                shutil.copy(keys / "worker.key_secret", keys / "other")
                and (keys / "other").replace(keys / "server.key")
            ),
            "server.key should be a public key and holds a secret one",
        ),
        (
            lambda keys: overwrite(
                keys / "worker.key_secret", (keys / "workers/worker.key").read_text()
            ),
            "worker.key_secret should be a secret key and holds a public one",
        ),
        (
            lambda keys: overwrite(
                keys / "worker.key_secret",
                (keys / "worker.key_secret").read_text().replace('public-key = "', 'x = "')
                + PUBLIC.format("0" * 40),
            ),
            "the two keys in .*worker.key_secret do not belong together",
        ),
    ],
)
def test_a_bad_part_of_a_worker_is_named_in_one_line(keys, spoil, words):
    spoil(keys)
    with pytest.raises(UserError, match=words) as caught:
        load_peer_keys(keys, "worker")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda keys: (keys / "server.key_secret").chmod(0o644), "mode 0644"),
        (lambda keys: shutil.rmtree(keys / "workers"), r"workers holds no \*.key"),
        (lambda keys: (keys / "clients/client.key").unlink(), r"clients holds no \*.key"),
        (
            lambda keys: shutil.copy(keys / "client.key_secret", keys / "clients/mine.key"),
            "mine.key should be a public key and holds a secret one",
        ),
    ],
)
def test_a_bad_part_of_the_orchestrator_is_named_in_one_line(keys, spoil, words):
    spoil(keys)
    with pytest.raises(UserError, match=words) as caught:
        load_server_keys(keys)
    assert "\n" not in str(caught.value)


def test_every_service_gets_its_part_and_no_more(tmp_path):
    make_keys_by_service(tmp_path / "keys")
    parts = {
        service: {str(path.relative_to(tmp_path / "keys" / service)) for path in files}
        for service in SERVICES
        if (files := [p for p in (tmp_path / "keys" / service).rglob("*") if p.is_file()])
    }
    assert parts == {
        "orchestrator": {"server.key_secret", "workers/worker.key", "clients/client.key", "tokens"},
        "sim-worker": {"server.key", "worker.key_secret", "tokens"},
        "learner": {"server.key", "client.key_secret", "tokens", "upstream.token"},
        "reward-gen": {"tokens"},
        "dashboard": {
            "server.key",
            "client.key_secret",
            "tokens",
            "upstream.token",
        },
    }
    load_server_keys(tmp_path / "keys" / "orchestrator")
    load_peer_keys(tmp_path / "keys" / "sim-worker", "worker")
    load_peer_keys(tmp_path / "keys" / "learner", "client")


@pytest.mark.parametrize(
    ("asker", "asked"),
    [
        ("learner", {"reward-gen"}),
        ("dashboard", {"orchestrator", "learner", "reward-gen"}),
    ],
)
def test_the_token_of_a_service_is_good_where_it_has_something_to_command(tmp_path, asker, asked):
    make_keys_by_service(tmp_path / "keys")
    token = load_token(tmp_path / "keys" / asker / "upstream.token")
    good_at = {
        service: load_tokens(tmp_path / "keys" / service / "tokens").role_of(token)
        for service in SERVICES
    }
    assert good_at == dict.fromkeys(SERVICES) | dict.fromkeys(asked, "control")


def test_a_whole_set_stays_and_one_that_lacks_a_file_is_replaced(tmp_path, capsys):
    argv = ["keys", str(tmp_path / "keys"), "--by-service", "--if-missing"]
    secret = tmp_path / "keys" / "orchestrator" / "server.key_secret"
    assert run(argv) == 0
    first = secret.read_bytes()
    assert run(argv) == 0
    assert secret.read_bytes() == first
    (tmp_path / "keys" / "learner" / "tokens").unlink()
    assert run(argv) == 0
    assert secret.read_bytes() != first
    with pytest.raises(UserError, match="holds keys already"):
        make_keys_by_service(tmp_path / "keys")
    with pytest.raises(UserError, match="--by-service"):
        run(["keys", str(tmp_path / "keys"), "--if-missing"])


OURS, OTHERS = 10001, 10002
"""User and group of this process, and some that are not."""


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "refused"),
    [
        (0, OURS, 0o440, False),
        (0, OURS, 0o400, False),
        (0, OURS, 0o444, True),
        (0, OURS, 0o460, True),
        (0, OURS, 0o450, True),
        (0, OTHERS, 0o440, True),
        (OTHERS, OURS, 0o440, True),
        (OURS, OURS, 0o440, True),
    ],
)
def test_only_root_hands_a_secret_over_by_a_group(tmp_path, monkeypatch, uid, gid, mode, refused):
    found = SimpleNamespace(st_mode=0o100000 | mode, st_uid=uid, st_gid=gid)
    monkeypatch.setattr(Path, "stat", lambda _self: found)
    monkeypatch.setattr(os, "geteuid", lambda: OURS)
    monkeypatch.setattr(os, "getegid", lambda: 1)
    monkeypatch.setattr(os, "getgroups", lambda: [OURS])
    if refused:
        with pytest.raises(UserError, match=f"mode {mode:04o}"):
            check_secret(tmp_path / "secret")
    else:
        check_secret(tmp_path / "secret")


def test_a_process_of_root_s_takes_no_secret_that_a_group_may_read(tmp_path, monkeypatch):
    found = SimpleNamespace(st_mode=0o100440, st_uid=0, st_gid=0)
    monkeypatch.setattr(Path, "stat", lambda _self: found)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "getegid", lambda: 0)
    with pytest.raises(UserError, match="mode 0440"):
        check_secret(tmp_path / "secret")

"""What is printed to be typed next can be typed where it is read."""

import os
import sys

import pytest

from websim.local.next_steps import to_type


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Programs of an installation in work/.venv/bin, the working directory being work."""
    programs = tmp_path / "work" / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "websim"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.chdir(tmp_path / "work")
    return programs


def test_what_is_not_on_path_is_named_from_the_working_directory(installed):
    assert to_type("websim", "eval", "runs/a") == ".venv/bin/websim eval runs/a"


def test_what_is_not_below_the_working_directory_has_its_whole_path(installed, monkeypatch):
    (installed.parents[1] / "runs").mkdir()
    monkeypatch.chdir(installed.parents[1] / "runs")
    assert to_type("websim", "goal") == f"{installed}/websim goal"


def test_what_is_on_path_has_its_name(installed, monkeypatch):
    monkeypatch.setenv("PATH", str(installed))
    assert to_type("websim", "goal") == "websim goal"


def test_another_installation_on_path_is_not_meant(installed, monkeypatch, tmp_path):
    (tmp_path / "websim").write_text("#!/bin/sh\n")
    (tmp_path / "websim").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert to_type("websim", "goal") == ".venv/bin/websim goal"


def test_arguments_are_quoted_where_a_shell_needs_it(installed):
    assert to_type("websim", "eval", "my runs/a") == ".venv/bin/websim eval 'my runs/a'"

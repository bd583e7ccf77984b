"""Set-up scripts, with everything that would install anything replaced."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def install_torch(monkeypatch):
    """Return the script as a module, whose commands are recorded in `.commands`, not run."""
    path = ROOT / "scripts" / "install_torch.py"
    spec = importlib.util.spec_from_file_location("install_torch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.commands = []
    module.fails = ()

    def run(command, timeout_s=None, *, quiet=False):
        tool = command[2]
        module.commands.append((tool, command[-1]))
        return 1 if (tool, command[-1]) in module.fails else 0

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "installed_version", lambda: None)
    monkeypatch.setattr(module, "pinned_version", lambda: "2.13.0")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WEBSIM_TORCH", raising=False)
    return module


def test_the_pin_is_found():
    text = (ROOT / "constraints.txt").read_text()
    assert text.count("\ntorch==") == 1
    assert "+cpu" not in text


def test_a_cpu_build_that_pip_finds_is_taken(install_torch):
    assert install_torch.main() == 0
    assert install_torch.commands == [("pip", "torch==2.13.0+cpu")]


def test_uv_comes_second_and_the_cuda_build_last(install_torch, capsys):
    install_torch.fails = (("pip", "torch==2.13.0+cpu"),)
    assert install_torch.main() == 0
    assert install_torch.commands[-1] == ("uv", "torch==2.13.0")

    install_torch.commands.clear()
    install_torch.fails = (("pip", "torch==2.13.0+cpu"), ("uv", "torch==2.13.0"))
    assert install_torch.main() == 0
    assert install_torch.commands[-1] == ("pip", "torch==2.13.0")
    assert "taking the CUDA build, which is large" in capsys.readouterr().out


@pytest.mark.parametrize(("variable", "platform"), [("cuda", "linux"), ("cpu", "darwin")])
def test_the_package_indexs_own_build_where_it_is_wanted(
    install_torch, monkeypatch, variable, platform
):
    monkeypatch.setenv("WEBSIM_TORCH", variable)
    monkeypatch.setattr(sys, "platform", platform)

    assert install_torch.main() == 0
    assert install_torch.commands[-1] == ("pip", "torch==2.13.0")
    assert ("pip", "torch==2.13.0+cpu") not in install_torch.commands


@pytest.mark.parametrize(
    ("installed", "wanted", "suits"),
    [
        (None, "cpu", False),
        ("2.13.0+cpu", "cpu", True),
        ("2.13.0", "cpu", True),
        ("2.12.0+cpu", "cpu", False),
        ("2.13.0+cpu", "cuda", False),
        ("2.13.0+cu130", "cuda", True),
    ],
)
def test_what_is_there_and_suits_is_kept(install_torch, installed, wanted, suits):
    assert install_torch.suits(installed, "2.13.0", wanted) is suits


def test_an_unknown_build_is_refused(install_torch, monkeypatch, capsys):
    monkeypatch.setenv("WEBSIM_TORCH", "tpu")

    assert install_torch.main() == 2
    assert "WEBSIM_TORCH=tpu must be cpu or cuda" in capsys.readouterr().err


def test_an_old_python_is_refused_in_one_line(tmp_path):
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1\nexit 1\n')
    old.chmod(0o755)
    answer = subprocess.run(
        ["bash", ROOT / "scripts" / "setup.sh", "run"],
        env={**os.environ, "PYTHON": str(old), "VENV": str(tmp_path / "venv")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 2
    assert answer.stderr.startswith(f"error: {old} is Python 3.9.1; Python 3.11 or newer is needed")
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "venv").exists()


def test_no_file_names_a_package_registry():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\0")
    hosts = [part + ".org" for part in ("pypi", "pythonhosted", "download.pytorch", "npmjs")]
    options = [f"--{kind}-url" for kind in ("index", "extra-index")]
    for name in filter(None, listed):
        text = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        for word in hosts + options:
            assert word.encode() not in text, f"{name} names {word}"

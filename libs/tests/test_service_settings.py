import sys
from pathlib import Path

import pytest
from pydantic import Field

from websim.service.errors import UserError
from websim.service.settings import ServiceSettings, SettingsConfigDict, load_settings


class KettleSettings(ServiceSettings):
    """Boil water."""

    model_config = SettingsConfigDict(env_prefix="WEBSIM_KETTLE_")

    num_cups: int = Field(4, gt=0)
    """How many cups."""
    lid: bool = True
    teas: tuple[str, ...] = ()


def test_flags_come_before_the_environment_and_that_before_defaults(monkeypatch):
    monkeypatch.setenv("WEBSIM_KETTLE_NUM_CUPS", "6")
    monkeypatch.setenv("WEBSIM_KETTLE_HTTP_PORT", "81")

    settings = load_settings(KettleSettings, ["--num-cups", "7", "--no-lid", "--ready-file", "/r"])

    assert settings.num_cups == 7
    assert settings.http_port == 81
    assert settings.lid is False
    assert settings.ready_file == Path("/r")
    assert settings.http_host == "127.0.0.1"


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--num-cups", "0"], "--num-cups 0: must be greater than 0"),
        (["--num-cups", "x"], "--num-cups x: must be a valid integer"),
        (["--http-port", "70000"], "--http-port 70000: must be less than or equal to 65535"),
        (["--num-cup", "3"], "unknown argument --num-cup (did you mean --num-cups?)"),
        (["--num-cups"], "argument --num-cups: expected one argument"),
        (["tea"], "unknown argument tea"),
    ],
)
def test_bad_flags_are_one_clear_line(argv, text):
    with pytest.raises(UserError) as caught:
        load_settings(KettleSettings, argv)

    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_misspelt_variables_are_refused(monkeypatch):
    monkeypatch.setenv("WEBSIM_KETTLE_NUM_CUP", "6")

    with pytest.raises(
        UserError, match=r"WEBSIM_KETTLE_NUM_CUP .did you mean WEBSIM_KETTLE_NUM_CUPS"
    ):
        load_settings(KettleSettings, [])


def test_a_variable_with_several_values_is_a_list_and_says_so(monkeypatch):
    monkeypatch.setenv("WEBSIM_KETTLE_TEAS", '["mint", "black"]')
    assert load_settings(KettleSettings, []).teas == ("mint", "black")

    monkeypatch.setenv("WEBSIM_KETTLE_TEAS", "mint")
    with pytest.raises(UserError) as caught:
        load_settings(KettleSettings, [])
    assert str(caught.value) == 'WEBSIM_KETTLE_TEAS is no list. Write it as in ["a", "b"].'


def test_settings_cannot_be_changed():
    settings = load_settings(KettleSettings, [])

    with pytest.raises(ValueError, match="frozen"):
        settings.num_cups = 9


def test_help_describes_every_flag(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/websim-kettle"])
    with pytest.raises(SystemExit) as caught:
        load_settings(KettleSettings, ["--help"])

    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert "Boil water." in shown
    assert "How many cups. (default: 4)" in shown
    assert "--ready-file" in shown

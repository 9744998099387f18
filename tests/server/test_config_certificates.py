"""The configuration's certificates: where they may stand, and which are refused; none is shown."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from signal_sdk.errors import ConfigError
from signal_sdk.server.config import AppConfig, Config, loads, print_config
from tests.server.configs import OLD_SECRET, SECRET, VARIABLE, secret_config

WORDS = "an app's certificate as somebody might write it"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"certificate": SECRET}, {"certificate": SECRET}),
        ({"certificate": SECRET}, {"certificate": f"{SECRET}1446"}),
        ({"certificate": f"x{SECRET}"}, {"certificate": SECRET}),
        ({"certificate": SECRET}, {"certificate": OLD_SECRET, "old_certificates": (SECRET,)}),
        (
            {"certificate": SECRET, "old_certificates": (WORDS, OLD_SECRET)},
            {"certificate": SECRET[::-1], "old_certificates": (OLD_SECRET,)},
        ),
    ],
)
def test_two_apps_do_not_share_a_certificate(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The original token's digest has no delimiters: one app's could be made into the other's."""
    with pytest.raises(ConfigError) as caught:
        Config(apps=(AppConfig(id="one"), AppConfig(id="two", **one), AppConfig(id="a", **other)))
    text = str(caught.value)
    assert text == (
        '[[apps]] certificate: the apps "two" and "a" have one certificate, or one holds the '
        "other's: give each a secret of its own"
    )
    both = (AppConfig(id="two", **one), AppConfig(id="a", certificate=f"{SECRET[1:]}another"))
    assert Config(apps=both).apps == both


@pytest.mark.parametrize("key", ["certificate", "old_certificates"])
def test_a_certificate_that_could_be_guessed_is_refused(key: str) -> None:
    short = SECRET[:31]
    value = f'"{short}"' if key == "certificate" else f'["{short}"]\ncertificate = "{OLD_SECRET}"'
    with pytest.raises(ConfigError) as caught:
        loads(f'[[apps]]\nid = "a"\n{key} = {value}\n')
    text = f"<string>:3: [[apps]] {key}: expected 32 characters or more: a shorter secret can"
    assert str(caught.value) == f"{text} be guessed"


def test_an_old_certificate_alone_is_refused() -> None:
    """The app would have none in force, and let everybody in."""
    with pytest.raises(ConfigError, match=r"old_certificates: needs the certificate"):
        loads(f'[[apps]]\nid = "a"\nold_certificates = ["{SECRET}"]\n')


def test_a_certificate_is_in_no_repr_and_no_print() -> None:
    config = secret_config()
    assert SECRET not in repr(config)
    assert SECRET not in repr(config.apps[0])
    assert SECRET not in print_config(config)
    assert f'certificate = "${VARIABLE}"' in print_config(config)


@pytest.mark.parametrize(
    "text",
    [
        '[[apps]]\ncertificate = "{}"\n',
        '[[apps]]\nid = "a"\ncertificate = ["{}"]\n',
        '[[apps]]\nid = "a"\ncertificat = "{}"\n',
        '[[apps]]\nid = "a"\nallow_no_token = "{}"\n',
        '[[apps]]\nid = "a"\nlisteners = "{}"\n',
        '[[apps]]\nid = "a"\ncertificate = "{}\n',
        '[[apps]]\nid = "a"\ncertificate = {}\n',
        '[[apps]]\nid = "a"\ncertificate = "{}"\n[limits]\nfoo = 1\n',
        '[apps]\ncertificate = "{}"\n',
        'apps = "{}"\n',
        'certificate = "{}"\n',
        '[server]\ncertificate = "{}"\n',
        '[server]\nport = {{certificate = "{}"}}\n',
    ],
)
def test_a_certificate_is_in_no_error_and_no_traceback(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text.format(SECRET))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_print_without_its_certificate_is_refused() -> None:
    """Read back as if it had none, the app would let everybody in."""
    printed = print_config(secret_config())
    for environ in ({}, {VARIABLE: ""}):
        with pytest.raises(
            ConfigError, match=rf": the environment variable {VARIABLE} is not set$"
        ):
            loads(printed, environ=environ)
    assert loads(printed, environ={VARIABLE: SECRET}) == secret_config()


# --- Certificates elsewhere, and the environment


def test_a_certificate_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "certificate"
    file.write_text(f"{SECRET}\n")
    config = loads(f'[[apps]]\nid = "app"\ncertificate_file = "{file}"\n')
    assert config.apps == (AppConfig(id="app", certificate=SECRET, certificate_file=str(file)),)
    printed = print_config(config)
    assert SECRET not in printed
    assert loads(printed) == config


@pytest.mark.parametrize(
    ("data", "more", "why"),
    [
        (None, "", "the file: No such file or directory"),
        (b"\n", "", "the file: empty"),
        (b"\xff", "", "the file: not UTF-8 text"),
        (SECRET.encode(), 'certificate = "x"\n', "give either this or certificate"),
    ],
)
def test_a_certificate_s_file_that_is_of_no_use_is_refused(
    tmp_path: Path, data: bytes | None, more: str, why: str
) -> None:
    file = tmp_path / SECRET
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        loads(f'[[apps]]\nid = "app"\n{more}certificate_file = "{file}"\n')
    assert str(caught.value).endswith(f": [[apps]] certificate_file: {why}")
    assert SECRET not in str(caught.value)


def test_old_certificates_may_stand_in_files_of_their_own(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one", "two")]
    for file, secret in zip(files, (OLD_SECRET, SECRET[::-1]), strict=True):
        file.write_text(f"{secret}\n")
    listed = ", ".join(f'"{file}"' for file in files)
    text = f'[[apps]]\nid = "app"\ncertificate = "{SECRET}"\nold_certificate_files = [{listed}]\n'
    config = loads(text)
    assert config.apps[0].old_certificates == (OLD_SECRET, SECRET[::-1])
    printed = print_config(config)
    assert OLD_SECRET not in printed
    assert OLD_SECRET not in repr(config)
    assert loads(printed, environ={VARIABLE: SECRET}) == config
    with pytest.raises(ConfigError, match=r"give either this or old_certificates$"):
        loads(f'{text}old_certificates = ["{WORDS}"]\n')
    files[1].unlink()
    with pytest.raises(ConfigError, match=r"old_certificate_files: the file: No such file") as it:
        loads(text)
    assert str(files[1]) not in str(it.value)


def test_old_certificates_may_stand_in_the_environment() -> None:
    app = AppConfig(id="app", certificate=SECRET, old_certificates=(OLD_SECRET, WORDS))
    printed = print_config(Config(apps=(app,)))
    assert OLD_SECRET not in printed
    olds = f'["{OLD_SECRET}", "{WORDS}"]'
    environ = {VARIABLE: SECRET, "SIGNAL_SDK_APPS_1_OLD_CERTIFICATES": olds}
    assert loads(printed, environ=environ) == Config(apps=(app,))
    with pytest.raises(ConfigError, match=r"OLD_CERTIFICATES is not set$"):
        loads(printed, environ={VARIABLE: SECRET})
    one = f'[[apps]]\nid = "app"\ncertificate = "{SECRET}"\nold_certificates = ["$SIGNAL_SDK_X"]\n'
    assert loads(one, environ={"SIGNAL_SDK_X": WORDS}).apps[0].old_certificates == (WORDS,)

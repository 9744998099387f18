"""The page on old clients: its names, its configuration and its commands."""

from __future__ import annotations

import re
import shlex
import ssl
from pathlib import Path

import attrs
import pytest
import trio
from click.testing import CliRunner

from signal_sdk.cli import old_clients
from signal_sdk.cli.doctor import doctor
from signal_sdk.cli.probes import Asked
from signal_sdk.server import config as configs
from signal_sdk.testing.server import local_server
from signal_sdk.wire import tokens

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "old_clients.md").read_text()
ADDRESS = "192.0.2.7"
NAMES = {
    *old_clients.NATIVE_NAMES,
    *old_clients.WEB_NAMES,
    old_clients.JAVA_NAME,
    "192-0-2-7-sig-web.agora.io",
}
TELEMETRY = {"rp.sig.agora.io", "log-sig.agora.io", "wsrp-sig.agora.io"}


def block(language: str, number: int = 0) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found[number])


def named(pattern: str, text: str) -> set[str]:
    """The names in the lines that `pattern` matches."""
    lines = [line for line in text.splitlines() if re.search(pattern, line)]
    return {name for line in lines for name in re.findall(r"[\w.-]+\.agora\.io", line)}


def test_every_name_leads_to_the_server_whichever_way_is_taken() -> None:
    assert named(rf"^host-record=[^,]+,{ADDRESS}$", block("dnsmasq")) == NAMES
    assert named("^local=", block("dnsmasq")) == NAMES | TELEMETRY
    assert named(rf"\sA\s+{ADDRESS}$", block("zone")) == NAMES
    assert named(r"\sCNAME\s+\.$", block("zone")) == TELEMETRY
    assert named(f"^{ADDRESS} ", block("hosts")) == NAMES
    assert named(r"^0\.0\.0\.0 ", block("hosts")) == TELEMETRY
    [table] = re.findall(r"(?ms)^\| client \|.*?\n\n", PAGE)
    for name in NAMES:
        assert name in table or f"{name.removesuffix('.agora.io')}`" in table


def test_the_configuration_serves_every_client_where_it_asks() -> None:
    config = configs.loads(block("toml"))
    assert config.server.port + 1 == old_clients.WEB_PORT
    assert old_clients.JAVA_PORT in config.server.also_listen
    assert config.native.enabled
    assert config.native.lookup_ports == old_clients.NATIVE_PORTS
    assert config.server.advertise == (ADDRESS,)


async def test_the_certificate_is_one_that_the_web_sdk_takes(tmp_path: Path) -> None:
    for command in block("sh").splitlines():
        await trio.run_process(shlex.split(command), cwd=tmp_path, capture_stderr=True)
    config = configs.loads(block("toml"))
    server = attrs.evolve(
        config.server,
        host="127.0.0.1",
        also_listen=(),
        advertise=(),
        cert=str(tmp_path / "cert.pem"),
        key=str(tmp_path / "key.pem"),
        data="",
    )
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    # As Python does from 3.13 on.
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    [app] = config.apps
    async with local_server(attrs.evolve(config, server=server)) as running:
        problem = await old_clients.run(
            "web",
            Asked(
                app=app.id,
                account="a",
                token=tokens.make_token(app.id, app.certificate, "a", 10**11),
                host="127.0.0.1",
                lookup_ports=(running.tls_port,),
                ssl_context=context,
            ),
            lambda step: None,
        )
    assert problem is None, str(problem)


def test_the_doctor_knows_the_options_of_its_commands() -> None:
    commands = [shlex.split(line) for line in block("sh", 1).splitlines()]
    assert [command[3] for command in commands] == ["native", "java", "web"]
    for command in commands:
        assert command[:2] == ["signal-sdk", "doctor"]
        context = doctor.make_context("doctor", command[2:])
        assert context.params["app"] in block("toml")
    assert CliRunner().invoke(doctor, ["--client", "flat"], standalone_mode=False).exception


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", PAGE))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()

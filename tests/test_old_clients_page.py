"""The page on old clients: its names, its configuration and its commands."""

from __future__ import annotations

import re
import shlex
import ssl
from pathlib import Path

import attrs
import click
import pytest
import trio
from click.testing import CliRunner

from signal_sdk.cli import old_clients
from signal_sdk.cli.doctor import doctor
from signal_sdk.cli.main import cli
from signal_sdk.cli.probes import Asked
from signal_sdk.server import config as configs
from signal_sdk.testing.server import local_server
from signal_sdk.wire import datagrams, tokens

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


def block_with(text: str) -> str:
    """The commands that hold this text."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    [found] = [one for one in blocks if text in one]
    return str(found)


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
    assert config.native.lookup_ports == datagrams.LOOKUP_PORTS
    assert config.server.advertise == (ADDRESS,)


def test_without_the_privilege_the_firewall_maps_to_a_configuration_of_high_ports() -> None:
    first, config = configs.loads(block("toml")), configs.loads(block("toml", 1))
    assert config.server.also_listen == ()
    assert (config.native, config.apps) == (first.native, first.apps)
    ports = {
        "TCP 80": config.server.port,
        "TCP 443": config.server.port + 1,
        "TCP 8001": config.server.port,
        "TCP 8002": config.server.port + 1,
        "TCP 8003": config.native.port,
    }
    rows = dict(re.findall(r"^\| (TCP \d+): [^|]*\| (\d+)(?:, mapped)? \|$", PAGE, re.MULTILINE))
    assert {name: int(port) for name, port in rows.items()} == ports
    mapped = re.findall(r"tcp dport (\d+) redirect to :(\d+)", block("nft"))
    assert {f"TCP {asked}": int(port) for asked, port in mapped} == {
        "TCP 80": config.server.port,
        "TCP 443": config.server.port + 1,
    }
    assert min(ports.values()) > 1023


def test_the_page_goes_from_the_server_to_the_client() -> None:
    titles = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert titles[:7] == [
        "Which client asks what",
        "The server",
        "Is the server right?",
        "The names",
        "Certificates",
        "Is all of it right?",
        "A phone does not come: what the log says",
    ]


def test_the_token_is_made_as_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "signal.toml"
    path.write_text(block("toml"))
    lines = block_with("signal-sdk token make").splitlines()
    [made] = [
        m[1] for line in lines if (m := re.match(r"export SIGNAL_SDK_TOKEN=\$\((.*)\)$", line))
    ]
    command = shlex.split(made.replace("signal.toml", str(path)))
    result = CliRunner().invoke(cli, command[1:])
    assert result.exit_code == 0, result.stderr
    [app] = configs.loads(block("toml")).apps
    tokens.check_token(result.stdout.strip(), app.id, app.certificate, "signal-sdk-doctor", 0)


async def test_the_certificate_is_one_that_the_web_sdk_takes(tmp_path: Path) -> None:
    for command in block_with("openssl").splitlines():
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
    lines = re.findall(r"^signal-sdk doctor .*$", PAGE, re.MULTILINE)
    commands = [shlex.split(line) for line in lines]
    assert [command[3] for command in commands] == ["native", "java", "native", "java", "web"]
    for command in commands:
        with click.Context(cli, info_name="signal-sdk", **cli.context_settings) as parent:
            context = doctor.make_context("doctor", command[2:], parent=parent)
        assert context.params["app"] in block("toml")
        assert context.params["host"] in (None, ADDRESS)
    assert CliRunner().invoke(cli, ["doctor", "--client", "flat"]).exit_code == 2


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", PAGE))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()

"""A cluster behind mutual TLS: with the certificates of its authority one is in, without them one is told."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed import Client, Security

import hexdag_lab as hx
from hexdag_lab.core.base.errors import PoolUnavailable
from tests.runtime.kit import until
from tests.runtime.pools.cluster_of_others import Cluster, cluster

pytestmark = [pytest.mark.dask, pytest.mark.slow]


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def authority(folder: Path) -> Path:
    """A folder with ca.pem, and cert.pem and key.pem of a member that it vouches for."""
    folder.mkdir()
    ours, member = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey, is_authority: bool) -> bytes:
        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("authority"))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(hours=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        return builder.sign(ours, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    (folder / "ca.pem").write_bytes(certificate("authority", ours, True))
    (folder / "cert.pem").write_bytes(certificate("member", member, False))
    key = member.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(key)
    return folder


def options(folder: Path) -> list[str]:
    files = {"--tls-ca-file": "ca.pem", "--tls-cert": "cert.pem", "--tls-key": "key.pem"}
    return [word for option, file in files.items() for word in (option, str(folder / file))]


def security(folder: Path) -> Security:
    files = {"tls_ca_file": "ca.pem", "tls_client_cert": "cert.pem", "tls_client_key": "key.pem"}
    return Security(require_encryption=True, **{option: str(folder / file) for option, file in files.items()})


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def theirs(ours: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster"), options(ours)) as found:
        found.worker("tower").says("joined")
        yield found


def test_a_client_with_certificates_is_handed_over(theirs: Cluster, ours: Path) -> None:
    with (
        Client(theirs.address, security=security(ours), set_as_default=False) as client,
        hx.Lab(pool=client, store="memory://") as lab,
    ):
        run = lab.start(hx.Dag.of(hx.NodeSpec("one", lambda: 1), hx.NodeSpec("two", lambda one: one + 1)))
        assert run.wait(30) == {"one": 1, "two": 2}
        assert [row.id for row in lab.workers()] == ["tower"]


def test_an_address_alone_says_what_is_missing(theirs: Cluster) -> None:
    with pytest.raises(PoolUnavailable, match="that takes certificates: give a lab a Client with its Security"):
        hx.Lab(pool=theirs.address, store="memory://")


def test_who_comes_without_tls_is_not_let_in(theirs: Cluster) -> None:
    with pytest.raises(PoolUnavailable, match="no Dask scheduler answers at tcp://"):
        hx.Lab(pool=theirs.address.replace("tls://", "tcp://"), store="memory://")


def test_a_worker_of_another_authority_is_not_let_in(theirs: Cluster, tmp_path: Path) -> None:
    stranger = Cluster(tmp_path, options(authority(tmp_path / "theirs")))
    stranger.address = theirs.address
    terminal = stranger.worker("stranger", "--wait", "3")
    until(lambda: terminal.ended() is not None)
    assert terminal.ended() == 2
    assert f"no Dask scheduler answers at {theirs.address}" in terminal.said()

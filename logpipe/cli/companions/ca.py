"""`logpipe ca`, and `fluent-ca-generate`: a certificate authority, by OpenSSL. command/ca_generate.rb."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from logpipe.cli import COMMANDS
from logpipe.cli.arguments import Parser
from logpipe.durable import Files

DAYS: Final = 5 * 365
LEAST_BITS: Final = 1024

_CONFIG: Final = """\
[req]
distinguished_name = name
x509_extensions = authority
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""


def main(program: str, arguments: list[str]) -> int:
    """Write `ca_key.pem`, encrypted and readable by its owner alone, and `ca_cert.pem`; 1 where that fails."""
    given = parser(program).parse(arguments)
    names = {"C": given.country.upper(), "ST": given.state, "L": given.locality, "CN": given.common_name}
    folder = Path(given.folder)
    try:
        Files().make_folder(folder)
        _generate(folder, given.passphrase, given.key_length, names)
    except FileNotFoundError as problem:
        said = "the program openssl is needed" if problem.filename == "openssl" else f"{folder}: {problem.strerror}"
    except OSError as problem:
        said = f"{problem.filename}: {problem.strerror}"
    except subprocess.CalledProcessError as problem:
        said = f"openssl: {problem.stderr.decode(errors='replace').strip()}"
    else:
        print("successfully generated: ca_key.pem, ca_cert.pem")
        print("copy and use ca_cert.pem to client(out_forward)")
        return 0
    print(f"{program}: {said}", file=sys.stderr)
    return 1


def parser(program: str) -> Parser:
    """Return the parser of its arguments."""
    made = Parser(prog=program, description=COMMANDS["ca"])
    add = made.add_argument
    add("folder", metavar="DIR", help="folder to write ca_key.pem and ca_cert.pem to")
    add("passphrase", metavar="PRIVATE_KEY_PASSPHRASE", help="passphrase of the key")
    add("--key-length", type=_bits, default=2048, metavar="BITS", help="length of the key (default: 2048)")
    add("--country", default="US", help="two letters (default: US)")
    add("--state", default="CA", help="state or province (default: CA)")
    add("--locality", default="Mountain View", help="town (default: Mountain View)")
    add("--common-name", default="Fluentd Forward CA", help="name of the authority (default: Fluentd Forward CA)")
    return made


def _bits(text: str) -> int:
    if not text.isdecimal() or int(text) < LEAST_BITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no length: {LEAST_BITS} bits are the least")
    return int(text)


def _generate(folder: Path, passphrase: str, bits: int, names: dict[str, str]) -> None:
    """Make key and certificate.

    Raises:
        CalledProcessError: OpenSSL refuses the names.
        OSError: a file cannot be written, or there is no OpenSSL.
    """
    key = _openssl(passphrase, "genrsa", "-aes256", "-passout", "stdin", str(bits))
    subject = "".join(f"/{name}={_escaped(value)}" for name, value in names.items())
    with tempfile.TemporaryDirectory() as scratch:
        config, key_file = Path(scratch) / "openssl.cnf", Path(scratch) / "key.pem"
        config.write_text(_CONFIG)
        key_file.write_bytes(key)
        made = ("-x509", "-new", "-utf8", "-sha256", "-days", str(DAYS), "-key", str(key_file), "-passin", "stdin")
        certificate = _openssl(passphrase, "req", *made, "-config", str(config), "-subj", subject)
    _write(folder / "ca_key.pem", key, 0o600)
    _write(folder / "ca_cert.pem", certificate, 0o644)


def _openssl(passphrase: str, *arguments: str) -> bytes:
    """Run OpenSSL; the passphrase goes to it by standard input, where no other process can read it."""
    command = ("openssl", *arguments)
    return subprocess.run(command, input=f"{passphrase}\n".encode(), capture_output=True, check=True).stdout  # noqa: S603 - its arguments are no shell's


def _escaped(value: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\/+" else letter for letter in value)


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)

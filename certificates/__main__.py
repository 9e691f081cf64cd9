"""The command ``appliance-certificate``. Exit status: 0 well, 1 refused with the reason, 2 the command line is wrong."""

from __future__ import annotations

import argparse
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

from certificates import renewal, settings


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="appliance-certificate", description="The box's certificate by ACME (docs/box.md)."
    )
    commands = made.add_subparsers(dest="command", required=True)
    renew = commands.add_parser("renew", help="another certificate, if it is time")
    renew.add_argument("--config", type=Path, required=True, metavar="FILE", help="authority, name, name server")
    renew.add_argument("--credentials", type=Path, required=True, metavar="FOLDER", help="acme-account.key, acme-tsig")
    renew.add_argument(
        "--into", type=Path, required=True, metavar="FOLDER", help="for certificate.pem, certificate.key"
    )
    renew.add_argument("--at-once", action="store_true", help="also where the present one is good for long")
    commands.add_parser("new-account-key", help="prints a key for an account at an authority, PEM")
    return made


def main() -> int:
    """The exit status."""
    arguments = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if arguments.command == "new-account-key":
        sys.stdout.write(renewal.new_account_key().decode())
        return 0
    try:
        order = settings.read(arguments.config)
        credentials = renewal.Credentials.read(arguments.credentials)
        print(renewal.renew(order, credentials, arguments.into, datetime.now(UTC), at_once=arguments.at_once))
    except settings.Refusal as refusal:
        print(f"the certificate stays as it is: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

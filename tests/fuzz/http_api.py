"""Fuzzes every address of the gateway's OpenAPI description with Schemathesis: no answer is a 5xx, and each is as described.

    python -m tests.fuzz.http_api --seconds 60 SCHEMATHESIS

A real gateway runs for it, with log and Valkey, so that there is no reason for a 503. ``make fuzz-http`` installs the fuzzer, in an
environment of its own, and runs this.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.gateway_server import URL, run_gateway

_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"
_ENDLESS = "/v1/stream"
"""Its good answer does not end."""
_OVER_SECONDS = 300
"""What the fuzzer may take beside the time that it is given: it ends what it has begun, and writes its report."""


def main() -> None:
    """Run the fuzzer, and end with its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("schemathesis", help="the fuzzer's program")
    options = parser.parse_args()
    with run_gateway() as server:
        command = [options.schemathesis, "run", f"{URL}/openapi.json", "--url", URL, "--exclude-path", _ENDLESS, "--checks", _CHECKS]
        command += ["--header", f"Authorization: Bearer {server.key}", "--max-time", str(options.seconds), "--continue-on-failure"]
        command += ["--request-timeout", "20", "--generation-database", "none"]
        ended = subprocess.run(command, check=False, timeout=options.seconds + _OVER_SECONDS)
    sys.exit(ended.returncode)


if __name__ == "__main__":
    main()

"""Starts ministack, the emulator of AWS that needs neither Docker nor an account, as Daywatch uses it.

Asked by `scripts/cloud-local.sh` and by the tests, with the Python of the tools' own environment:

    AWS_ENDPOINT_URL=http://127.0.0.1:4566 GATEWAY_PORT=4566 python localstack/emulator.py

Two things are decided here, because ministack has no setting for them:

* Nagle's algorithm is off in the runtime API that each function asks for its next event. A small
  answer after a small answer else waits for the client's delayed acknowledgement, 40 ms a time.
* It does not start without AWS_ENDPOINT_URL, which it hands on to the functions: they would look
  for the real AWS instead.

It listens on this host only (BIND_HOST=127.0.0.1 unless told otherwise): it checks no credentials.
"""

import os
import socketserver
import sys


def main():
    if not os.environ.get("AWS_ENDPOINT_URL"):
        sys.exit("AWS_ENDPOINT_URL is missing: the functions would have no address of the emulator")
    os.environ.setdefault("BIND_HOST", "127.0.0.1")
    # Part of the addresses that it gives out (queues); "localhost" may be ::1, where nobody listens.
    os.environ.setdefault("MINISTACK_HOST", "127.0.0.1")
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True

    # Reads the environment when it is imported.
    from ministack.app import main as serve

    serve()


if __name__ == "__main__":
    main()

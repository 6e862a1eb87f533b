"""Packs one function: its binary as `bootstrap`, executable, in a zip whose bytes depend on nothing else.

    python3 infra/zip_function.py BINARY ZIP

CloudFormation renews a function when the name of its zip's content changes, so the time of a build
must not be in it.
"""

import pathlib
import sys
import zipfile


def main():
    binary, target = map(pathlib.Path, sys.argv[1:])
    entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o100755 << 16
    # From Unix, so that the mode counts.
    entry.create_system = 3
    entry.compress_type = zipfile.ZIP_DEFLATED
    new = target.with_suffix(".new")
    with zipfile.ZipFile(new, "w") as archive:
        archive.writestr(entry, binary.read_bytes(), compresslevel=9)
    new.replace(target)


if __name__ == "__main__":
    main()

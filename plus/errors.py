"""Errors that a person can mend. The command line prints their one line; no other error is caught."""


class PlusError(ValueError):
    """Error with one line: what was found, what is needed, the remedy. `status` is the command's exit status."""

    status = 2


class SourceError(PlusError):
    """Rows or files cannot be used."""


class ModelError(PlusError):
    """A model, a tokenizer or a run folder cannot be loaded."""


class WindowError(PlusError):
    """A window cannot hold even what must not be cut."""


class SettingError(PlusError):
    """An option is unknown or cannot be used."""


class RunError(PlusError):
    """A run folder cannot be used as asked."""


class RewardError(PlusError):
    """A reward, or how several are weighed, cannot be used to train a response policy."""


class EvidenceError(PlusError):
    """A measure or a control cannot be computed from what was given."""


class EndpointError(PlusError):
    """A model behind an address cannot be reached or refuses."""


class SlowReplyError(EndpointError):
    """A model behind an address did not answer in time."""


class ProfileError(PlusError):
    """A profile store, or a file of profiles, cannot be used as asked."""


class DiskError(ProfileError):
    """The disk, a lock or damage kept SQLite from a transaction. `cause` is what SQLite says."""

    def __init__(self, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause


class ConflictError(ProfileError):
    """A summary was changed by another writer meanwhile: nothing was written. `diff` shows that change."""

    status = 3

    def __init__(self, message: str, diff: str = "") -> None:
        super().__init__(message)
        self.diff = diff


class UnknownUserError(ProfileError):
    """The store holds no such user."""

    status = 4


class ForgottenError(ProfileError):
    """The user or conversation was forgotten; nothing of it may be written again."""

    status = 5


class MissingExtraError(ModelError):
    """A package is not installed; the message names the extra of plus-preferences that brings it."""


# Package -> the extra that brings it. `embed` comes with torch too, so torch alone does not ask for `train`.
EXTRAS = {
    **dict.fromkeys(("openai", "httpx2", "starlette", "uvicorn", "anyio", "jinja2"), "api"),
    "mcp": "mcp",
    **dict.fromkeys(("psycopg", "psycopg_pool", "cryptography"), "postgres"),
    **dict.fromkeys(("sentence_transformers",), "embed"),
    **dict.fromkeys(("torch", "transformers", "trl", "accelerate", "datasets", "peft", "tokenizers"), "train"),
    **dict.fromkeys(("safetensors", "matplotlib", "sklearn", "scipy", "numpy", "pyarrow", "gguf"), "train"),
    "huggingface_hub": "train",
}


def missing_extra(verb: str, error: ModuleNotFoundError) -> MissingExtraError | None:
    """Turn the import of a package that is not installed into one line; None when no extra brings it."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    return MissingExtraError(
        f"{verb} needs {package}, which is not installed; pip install 'plus-preferences[{EXTRAS[package]}]'"
    )

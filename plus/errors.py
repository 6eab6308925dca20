"""The errors that a person can mend. The command line prints their one line; nothing else is caught."""


class PlusError(ValueError):
    """What was found, what is needed and the remedy, in one line."""


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


class EvidenceError(PlusError):
    """A measure or a control cannot be computed from what was given."""

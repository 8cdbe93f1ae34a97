"""Packages that only some of the commands need. Knows nothing of what they do."""

import importlib.util

__all__ = ["check_installed"]


def check_installed(extra: str, *packages: str) -> None:
    """Refuse to go on without the packages of an extra.

    Raises:
        ImportError: One is not installed; the message has the command that installs it.
    """
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ImportError(
            f'Expected {" and ".join(missing)} to be installed. Install with: pip install "psla-hf[{extra}]".'
        )

"""Where a name leads: to a path on this machine, or to a repository of the Hub. Knows nothing of what is there."""

import difflib
import os
from pathlib import Path

__all__ = ["local_path"]


def local_path(name: str | Path, what: str) -> Path | None:
    """The path of something that is named by a path or by a Hub id, `owner/name`.

    A name is a path if it exists, if the folder that would hold it does, if it is a `Path`, absolute, or begins with
    `./`, `../` or `~`, or if it has not exactly one slash. A missing path is never asked of the Hub.

    Args:
        name: A path or a Hub id.
        what: What is expected there, for the error.

    Returns:
        The path, which exists; none for a Hub id.

    Raises:
        FileNotFoundError: It is a path, and nothing is there; the message names what is.
        ValueError: The name is empty.
    """
    if name == "":
        raise ValueError(f"Expected {what}, got an empty name. For the folder you are in, pass '.'.")
    path, text = Path(os.path.expanduser(name)), str(name)  # noqa: PTH111 - which leaves ~nobody as it is
    if path.exists():
        return path
    is_local = isinstance(name, Path) or path.is_absolute() or text.startswith(("./", "../", "~"))
    if not is_local and text.count("/") == 1 and not path.parent.is_dir():
        return None
    folder = next(parent for parent in path.parents if parent.is_dir())
    missing = path.relative_to(folder).parts[0]
    # What is hidden, such as what a killed process left, is nobody's model, unless somebody asks for such.
    names = sorted(child.name for child in folder.iterdir() if missing[0] == "." or child.name[0] != ".")
    nearest = difflib.get_close_matches(missing, names, n=1)
    inside = f"the nearest to {missing} is {nearest[0]}" if nearest else f"there is {', '.join(names[:5]) or 'nothing'}"
    raise FileNotFoundError(f"Expected {what}, there is no {path}. In {folder.resolve()} {inside}.")

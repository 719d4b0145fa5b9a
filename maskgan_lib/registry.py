"""What is found by its name and defined in many files: networks of weights files, stages, their settings, methods."""

import pkgutil
from collections.abc import Mapping
from importlib import import_module

ROOMS = ("networks", "training", "judges", "methods")
"""The packages whose files register something. Each file of them is imported before something is looked up."""


class Registry(Mapping):
    """Things by name, in the order of the names. A file that defines one registers it with ``register``.

    So a new one is a new file of one of ``ROOMS``, and nobody lists it again. ``what`` says what the things are, in the
    message for a name that there is not (``KeyError``).
    """

    loaded = False

    def __init__(self, what: str):
        self.what, self.data = what, {}

    def register(self, thing, name: str = ""):
        """Takes ``thing`` in, under its ``name`` or, for a class without, its class' name; returns it.

        ``ValueError`` if another thing has that name.
        """
        name = name or getattr(thing, "name", None) or thing.__name__
        if self.data.setdefault(name, thing) is not thing:
            raise ValueError(f"There are two {self.what} of the name {name!r}: rename one.")
        return thing

    def called(self, name: str):
        """``register`` as a decorator, under ``name``."""
        return lambda thing: self.register(thing, name)

    def __getitem__(self, name: str):
        _load()
        if name not in self.data:
            raise KeyError(f"There is no {name!r} among the {self.what}; there are {', '.join(self)}.")
        return self.data[name]

    def __iter__(self):
        _load()
        return iter(sorted(self.data))

    def __len__(self) -> int:
        _load()
        return len(self.data)


def _load() -> None:
    if Registry.loaded:
        return
    Registry.loaded = True  # before: a file may look something up while it is imported
    try:
        for room in ROOMS:
            package = import_module(f"maskgan_lib.{room}")
            for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
                import_module(module.name)
    except BaseException:
        Registry.loaded = False  # half of it would be taken for all
        raise


NETWORKS = Registry("networks")
"""What a weights file can name, by class; each network keeps its constructor's arguments in ``.config``."""
STAGES = Registry("stages")
"""What can be trained: classes of ``training.stage.Stage``."""
SETTINGS = Registry("sections of a preset")
"""What can be set: dataclasses whose defaults are the paper's values."""
METHODS = Registry("methods")
"""What can be asked for faces, and stands in the tables: objects of ``methods.method.Method``."""

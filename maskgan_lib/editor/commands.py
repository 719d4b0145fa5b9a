"""What a front end may ask of a session, by name, and the check of what comes in."""

import inspect
import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from maskgan_lib.editor.checks import EditError

_WHOLE, _NUMBER, _TEXT, _FILE, _BY_NAME = (int,), (int, float), (str,), (bytes,), (dict,)
COMMANDS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "paint": {"data": _FILE},
    "choose_target": {"face": _WHOLE},
    "choose_style": {"face": _WHOLE, "mix": _NUMBER, "region": (*_TEXT, type(None))},
    "choose_method": {"name": _TEXT},
    "set_keep": {"strength": (*_NUMBER, type(None))},
    "copy_component": {"face": _WHOLE, "group": _TEXT},
    "transform_component": {"group": _TEXT} | dict.fromkeys(("down", "right", "scale", "degrees"), _NUMBER),
    "move_latent": {"direction": _TEXT, "amount": _NUMBER},
    "interpolate": {"face": _WHOLE, "share": _NUMBER},
    "random_edit": {"seed": _WHOLE},
    "preview_attributes": {"amounts": _BY_NAME},
    "move_attributes": {"amounts": _BY_NAME},
    "add_photo": {"data": _FILE},
    "load_mask": {"data": _FILE},
    "reset": {},
    "undo": {"count": _WHOLE},
    "redo": {"count": _WHOLE},
    "go_back": {"result": _TEXT},
}
"""The arguments of each command, and their types. None takes a path."""


def checked_call(session: object, name: str, arguments: Mapping[str, Any]) -> Callable[[], Any]:
    """One of ``COMMANDS``, to be called; ``EditError`` for another name, and for arguments that it does not take."""
    if not isinstance(name, str) or name not in COMMANDS:
        raise EditError(f"There is no command {reprlib.repr(name)}: choose one of {', '.join(COMMANDS)}.")
    types = COMMANDS[name]
    if not isinstance(arguments, Mapping):
        raise EditError(f"The arguments of {name} come by name, not as {type(arguments).__name__}.")
    for key, value in arguments.items():
        known = key in types and isinstance(value, types[key]) and not isinstance(value, bool)
        if not known or (isinstance(value, int) and abs(value) >= 2**63):
            raise EditError(f"{name} does not take {reprlib.repr(key)} = {reprlib.repr(value)}: correct it.")
    method = getattr(session, name)
    try:
        inspect.signature(method).bind(**arguments)
    except TypeError as error:
        raise EditError(f"{name} cannot be done ({error}): give all arguments.") from None
    return partial(method, **arguments)

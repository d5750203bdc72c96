"""How this copy of the program was made."""

from importlib.util import find_spec


def code_form() -> str:
    """`compiled` where mypyc made machine code of the hot modules, or `interpreted`."""
    spec = find_spec("nodecache.wire.query")
    is_source = spec is None or spec.origin is None or spec.origin.endswith(".py")
    return "interpreted" if is_source else "compiled"

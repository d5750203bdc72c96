"""How Go prints values: `fmt.Sprint` and `fmt.Sprintf`, for numbers, texts, booleans, lists and maps."""

import re
from collections.abc import Callable
from decimal import Decimal
from math import isfinite, isnan

_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\*|\d+)?(?:\.(?P<precision>\*|\d*))?(?P<verb>.)")
_DEFAULT_PRECISION = 6
_MIN_EXPONENT, _MAX_EXPONENT = -4, 6  # where %v changes to exponents


def shown(value: object) -> str:
    """`value` as %v prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_shown(value)
    if isinstance(value, list | tuple):
        return "[" + " ".join(shown(element) for element in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{shown(key)}:{shown(value[key])}" for key in sorted(value))
        return "map[" + " ".join(pairs) + "]"
    return str(value)


def _float_shown(value: float) -> str:
    """The shortest digits that are this number, with an exponent where it is large or small."""
    if not isfinite(value):
        return "NaN" if isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    number = Decimal(repr(value)).normalize()
    exponent = number.adjusted() if value else 0
    if _MIN_EXPONENT <= exponent < _MAX_EXPONENT:
        return f"{number:f}"
    return f"{number.scaleb(-exponent):f}e{exponent:+03d}"


def sprintf(form: object, *values: object) -> str:
    """`values` in the form of `form`; what does not fit is told in the text, as Go does it."""
    if not isinstance(form, str):
        raise ValueError(f"wrong type of format: {shown(form)}")  # noqa: TRY004 (a Go error)
    printer = _Printer(values)
    text = _VERB.sub(printer.one, form)
    return text + printer.left_over()


class _Printer:
    """Takes the values of one `Sprintf` one after the other."""

    def __init__(self, values: tuple[object, ...]) -> None:
        self._values = list(values)

    def one(self, match: re.Match[str]) -> str:
        """The text for one verb."""
        verb, flags = match["verb"], match["flags"]
        if verb == "%":
            return "%"
        width, flags = self._width(match["width"], flags)
        precision = self._precision(match["precision"])
        if not self._values:
            return f"%!{verb}(MISSING)"
        value = self._values.pop(0)
        return _padded(_formatted(verb, value, flags, precision), flags, width, value)

    def left_over(self) -> str:
        """What Go says of values that no verb took."""
        if not self._values:
            return ""
        told = ", ".join(f"{_type_name(value)}={shown(value)}" for value in self._values)
        return f"%!(EXTRA {told})"

    def _width(self, width: str | None, flags: str) -> tuple[int, str]:
        if width != "*":
            return int(width or 0), flags
        number = self._number()
        return abs(number), flags + "-" if number < 0 else flags

    def _precision(self, precision: str | None) -> int | None:
        if precision == "*":
            return self._number()
        return None if precision is None else int(precision or 0)

    def _number(self) -> int:
        value = self._values.pop(0) if self._values else 0
        return value if isinstance(value, int) else 0


def _formatted(verb: str, value: object, flags: str, precision: int | None) -> str:
    formatter = _VERBS.get(verb)
    text = None if formatter is None else formatter(value, flags, precision)
    if text is not None:
        return text
    told = "<nil>" if value is None else f"{_type_name(value)}={shown(value)}"
    return f"%!{verb}({told})"


def _padded(text: str, flags: str, width: int, value: object) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and not isinstance(value, bool):
        return text.zfill(width)
    return text.rjust(width)


def _type_name(value: object) -> str:
    names = {bool: "bool", int: "int", float: "float64", str: "string", type(None): "<nil>"}
    return names.get(type(value), type(value).__name__)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _any(value: object, flags: str, precision: int | None) -> str | None:
    if isinstance(value, str):
        return _quoted(value, flags, precision) if "#" in flags else value[:precision]
    if isinstance(value, int | float) and not isinstance(value, bool) and "+" in flags:
        return ("+" if value >= 0 else "") + shown(value)
    return shown(value)


def _string(value: object, _flags: str, precision: int | None) -> str | None:
    if value is None or isinstance(value, bool | int | float):
        return None
    return shown(value)[:precision]


def _quoted(value: object, _flags: str, precision: int | None) -> str | None:
    if _is_int(value):
        return f"'{chr(value)}'"  # type: ignore[arg-type]
    if not isinstance(value, str):
        return None
    body = value[:precision].replace("\\", "\\\\").replace('"', '\\"')
    return '"' + body.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + '"'


def _based(base: str) -> Callable[[object, str, int | None], str | None]:
    """A whole number in another base; texts in hexadecimal are told octet by octet."""

    def formatter(value: object, flags: str, precision: int | None) -> str | None:
        if _is_int(value):
            sign = "+" if "+" in flags else " " if " " in flags else "-"
            digits = format(abs(value), base).zfill(precision or 0)  # type: ignore[arg-type]
            prefix = _PREFIXES.get(base, "") if "#" in flags else ""
            return f"{value:{sign}d}"[0].strip("0123456789") + prefix + digits
        if isinstance(value, str) and base in "xX":
            text = value.encode()[:precision].hex()
            return text.upper() if base == "X" else text
        return None

    return formatter


_PREFIXES = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}


def _floating(base: str) -> Callable[[object, str, int | None], str | None]:
    def formatter(value: object, flags: str, precision: int | None) -> str | None:
        if not isinstance(value, float):
            return None
        if base in "gG" and precision is None:
            return _float_shown(value)
        places = _DEFAULT_PRECISION if precision is None else precision
        return format(value, f"{'+' if '+' in flags else ''}.{places}{base}")

    return formatter


_VERBS: dict[str, Callable[[object, str, int | None], str | None]] = {
    "v": _any,
    "s": _string,
    "q": _quoted,
    "d": _based("d"),
    "x": _based("x"),
    "X": _based("X"),
    "o": _based("o"),
    "b": _based("b"),
    "c": lambda value, *_: chr(value) if _is_int(value) else None,
    "U": lambda value, *_: f"U+{value:04X}" if _is_int(value) else None,
    "t": lambda value, *_: shown(value) if isinstance(value, bool) else None,
    "T": lambda value, *_: _type_name(value),
    "f": _floating("f"),
    "F": _floating("f"),
    "e": _floating("e"),
    "E": _floating("E"),
    "g": _floating("g"),
    "G": _floating("G"),
}

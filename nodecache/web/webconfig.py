"""`prometheus { tls FILE }`: the web configuration of the Prometheus exporter toolkit.

The law of this module: what a file asks for and is not supported here is an error. A page is never served
with less protection than was asked for.
"""

import re
import ssl
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from .secured import WebConfig, stamp_of

Value: TypeAlias = "str | list[Value] | dict[str, Value]"

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CLIENTS = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
# Go asks for a certificate and then looks at nothing in it; Python's ssl cannot.
_CLIENTS_NOT_LOOKED_AT = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_GO_SUITE = re.compile(r"TLS_(ECDHE_(?:RSA|ECDSA))_WITH_(\w+)_(SHA\d*)")
_GO_TLS13_SUITE = re.compile(r"TLS_(AES_\d+_GCM|CHACHA20_POLY1305)_SHA\d+")

_SECTIONS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
_TLS_FIELDS = (
    "cert", "key", "client_ca", "cert_file", "key_file", "client_auth_type", "client_ca_file",
    "client_allowed_sans", "min_version", "max_version", "cipher_suites",
    "prefer_server_cipher_suites", "curve_preferences",
)  # fmt: skip
_THAT_ENABLE = (
    "cert", "key", "client_ca", "cert_file", "key_file", "client_ca_file", "client_auth_type",
)  # fmt: skip


def open_web_config(path: str) -> WebConfig:
    """The configuration in the file at `path`. Raises OSError or ValueError with the reason."""
    try:
        stamp = stamp_of((path,))  # each before it is read: what changes after is seen
        sections = _mapping(_read_yaml(Path(path).read_text("utf-8")), _SECTIONS)
        tls = _mapping(sections.get("tls_server_config", ""), _TLS_FIELDS)
        files = _files(path, tls)
        stamp += stamp_of(files)
        _refuse_what_we_lack(sections, tls)
        headers = _headers(sections.get("http_server_config", ""))
        is_enabled = any(tls.get(name) for name in _THAT_ENABLE)
        context = _context(path, tls) if is_enabled else None
        names = _texts(tls["client_allowed_sans"]) if "client_allowed_sans" in tls else None
    except (TypeError, ValueError) as fault:  # UnicodeDecodeError is one
        raise ValueError(f"{path}: {fault}") from None
    is_asked = context is not None and context.verify_mode != ssl.CERT_NONE
    allowed = frozenset(names) if names is not None and is_asked else None
    return WebConfig(context, headers, allowed, (path, *files), stamp)


class _Loader(yaml.BaseLoader):
    """Reads every scalar as text, as Go does for a string field; `safe_load` makes a boolean of `no`.

    A field that is given twice is an error, as with Go.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 (PyYAML's)
        """Make a dict of a mapping's node."""
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"has {key.value!r} a second time", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return made


def _read_yaml(text: str) -> Value:
    """The value in a YAML text. Raises ValueError with line and reason."""
    try:
        value: Value | None = yaml.load(text, _Loader)  # noqa: S506 (it makes texts, lists, dicts)
    except yaml.YAMLError as error:
        raise ValueError(_reason(error)) from None
    return "" if value is None else value


def _reason(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


def _texts(value: Value) -> Sequence[str]:
    """A list of texts, or a list of the one text given; TypeError for anything else."""
    found = [value] if isinstance(value, str) and value else value
    texts = [each for each in found if isinstance(each, str)]
    if isinstance(found, dict) or len(texts) != len(found):
        raise TypeError("a list of texts is wanted")
    return texts


def _mapping(value: Value, known: Iterable[str]) -> dict[str, Value]:
    """A section, which may be empty and has only fields that are known."""
    if not isinstance(value, dict):
        if value:
            raise ValueError(f"a section is wanted, not {value!r}")
        return {}
    for name in value:
        if name not in known:
            raise ValueError(f"field {name} not found")
    return value


def _files(path: str, tls: Mapping[str, Value]) -> list[str]:
    names = ("cert_file", "key_file", "client_ca_file")
    return [_beside(path, _text(tls, name)) for name in names if _text(tls, name)]


def _beside(path: str, file: str) -> str:
    """`file`, relative to the folder of the configuration."""
    return str(Path(path).parent / file)


def _text(section: Mapping[str, Value], name: str) -> str:
    value = section.get(name, "")
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text")
    return value


def _refuse_what_we_lack(sections: Mapping[str, Value], tls: Mapping[str, Value]) -> None:
    if sections.get("basic_auth_users"):
        raise ValueError("basic_auth_users is not supported here; ask for client certificates")
    interval = _mapping(sections.get("rate_limit", ""), ("interval", "burst")).get("interval", "0")
    if interval not in ("", "0", "0s"):
        raise ValueError("rate_limit is not supported here")
    for name in ("cert", "key"):
        if tls.get(name):
            raise ValueError(f"{name} is not supported here; name a file with {name}_file")
    if tls.get("curve_preferences"):
        raise ValueError("curve_preferences is not supported here")


def _headers(section: Value) -> dict[str, str]:
    asked = _mapping(section, ("http2", "headers")).get("headers", "")
    headers = {}
    for name, value in asked.items() if isinstance(asked, dict) else ():
        if name not in _HEADERS:
            raise ValueError(f"HTTP header {name!r} can not be configured")
        told = _text({name: value}, name)
        if _HEADERS[name] and told not in _HEADERS[name]:
            raise ValueError(f"invalid value for {name}: {told!r}")
        if not told.isascii() or not told.isprintable():
            raise ValueError(f"invalid value for {name}: {told!r}")
        headers[name] = told.strip()  # RFC 9110 §5.5; Go does so when it writes them
    return headers


def _context(path: str, tls: Mapping[str, Value]) -> ssl.SSLContext:
    certificate, key = _text(tls, "cert_file"), _text(tls, "key_file")
    if not certificate:
        raise ValueError("missing one of cert or cert_file")
    if not key:
        raise ValueError("missing one of key or key_file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, default in (("min_version", "TLS12"), ("max_version", "TLS13")):
        version = _VERSIONS.get(_text(tls, name) or default)
        if version is None:
            raise ValueError(f"unknown TLS version: {_text(tls, name)}")
        attribute = "minimum_version" if name == "min_version" else "maximum_version"
        setattr(context, attribute, version)
    _choose_suites(context, _texts(tls.get("cipher_suites", "")))
    if _text(tls, "prefer_server_cipher_suites").lower() in ("false", "no", "off"):
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _load(f"cert_file ({certificate})", context.load_cert_chain,
          _beside(path, certificate), _beside(path, key))  # fmt: skip
    _ask_clients(path, tls, context)
    return context


def _load(what: str, load: Callable[..., Any], *files: str) -> None:
    """Load PEM files; ValueError says which cannot be read."""
    try:
        load(*files)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"failed to read {what}: {error.strerror or error}") from None


def _choose_suites(context: ssl.SSLContext, wanted: Iterable[str]) -> None:
    """Set the cipher suites by Go's names; those of TLS 1.3 cannot be chosen, as in Go."""
    chosen = []
    for name in wanted:
        if match := _GO_SUITE.fullmatch(name):
            exchange, cipher, digest = match.groups()
            cipher = re.sub(r"AES_(\d+)", r"AES\1", cipher).replace("_CBC", "").replace("_", "-")
            ending = "" if "CHACHA20" in cipher else f"-{digest}"
            chosen.append(f"{exchange.replace('_', '-')}-{cipher}{ending}")
        elif not _GO_TLS13_SUITE.fullmatch(name):
            raise ValueError(f"unknown cipher: {name}")
    if chosen:
        try:
            context.set_ciphers(":".join(chosen))
        except ssl.SSLError:
            raise ValueError(f"no cipher of these is known here: {', '.join(chosen)}") from None


def _ask_clients(path: str, tls: Mapping[str, Value], context: ssl.SSLContext) -> None:
    """Set whether clients must have a certificate, and which authorities sign it."""
    kind, file, text = (_text(tls, n) for n in ("client_auth_type", "client_ca_file", "client_ca"))
    if kind in _CLIENTS_NOT_LOOKED_AT:
        raise ValueError(f"{kind} is not supported here; RequireAndVerifyClientCert is")
    if kind not in _CLIENTS:
        raise ValueError(f"invalid ClientAuth: {kind}")
    context.verify_mode = _CLIENTS[kind]
    if context.verify_mode == ssl.CERT_NONE:
        if file or text:
            raise ValueError("client CA's have been configured without a Client Auth Policy")
    elif file:
        _load(f"client_ca_file ({file})", context.load_verify_locations, _beside(path, file))
    elif text:
        _load("client_ca", lambda: context.load_verify_locations(cadata=text))
    else:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)

"""The parser of the channel's messages, under whatever hypothesis thinks of."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.keeper.handover_messages import FORMS as FROM_KEEPERS
from nodecache.process.messages import MalformedControlMessage, Message, read_message
from nodecache.process.protocol import FROM_KEEPER, FROM_WORKER
from nodecache.process.vitals import KeeperVitals

ALL_FORMS = [FROM_WORKER, FROM_KEEPER, FROM_KEEPERS]
KINDS = sorted({kind for forms in ALL_FORMS for kind in forms.of})
NAMES = sorted({name for forms in ALL_FORMS for form in forms.of.values() for name in form.fields})

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
# Near to what is right, so that the checks of the fields are reached.
addresses = st.lists(st.tuples(st.text(max_size=70), st.integers(-1, 70_000)), max_size=4)
vitals = st.builds(KeeperVitals).map(KeeperVitals.to_fields)
bent_vitals = st.builds(
    lambda whole, name, value: whole | {name: value},
    vitals,
    st.sampled_from(sorted(KeeperVitals().to_fields())),
    anything,
)
value = anything | addresses | vitals | bent_vitals
message = st.builds(
    lambda kind, fields: json.dumps({"kind": kind, **fields}).encode(),
    st.sampled_from(KINDS) | st.text(max_size=8),
    st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), value, max_size=3),
)


@pytest.mark.parametrize("forms", ALL_FORMS, ids=["worker", "keeper", "another keeper"])
@given(octets=st.binary(max_size=200) | message, count=st.integers(0, 300), are_lost=st.booleans())
def test_octets_are_a_message_of_a_known_form_or_one_kind_of_error(forms, octets, count, are_lost):
    try:
        read = read_message(octets, range(count), forms, are_lost=are_lost)
    except MalformedControlMessage as error:
        read = error
    if isinstance(read, MalformedControlMessage):
        assert len(str(read)) < 500
        return
    assert isinstance(read, Message)
    assert len(read.descriptors) == count
    form = forms.of.get(read.kind)
    if form is None:
        assert forms.is_of_any_version
        assert read.fields == {}
    else:
        assert read.fields.keys() == form.fields.keys()
        assert count in form.descriptors


def fields_of(kind, **fields):
    return json.dumps({"kind": kind, **fields}).encode()


def test_the_hosts_numbers_arrive_as_they_were():
    told = KeeperVitals(setup_errors={"iptables": 2}, lease={"seconds": 10.0, "is_held": True})
    octets = fields_of("vitals", vitals=told.to_fields(), reload_failures=0)
    read = read_message(octets, (), FROM_KEEPER)
    assert KeeperVitals.from_fields(read.fields["vitals"]) == told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repairs", {"link": -1}),
        ("repairs", {"link": True}),
        ("repairs", {"link": 1 << 63}),
        ("repairs", {"x" * 201: 1}),
        ("repairs", {str(number): 1 for number in range(1001)}),
        ("lease", {"seconds": "10"}),
        ("lease", {"seconds": float("inf")}),
        ("lease", {"seconds": 10**400}),
        ("process", {}),
        ("is_config_current", 1),
        ("rules_backend", None),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_numbers_of_another_form_are_none(name, value):
    fields = KeeperVitals().to_fields() | {name: value}
    with pytest.raises(MalformedControlMessage, match=f"{name!r}"):
        read_message(fields_of("vitals", vitals=fields, reload_failures=0), (), FROM_KEEPER)


@pytest.mark.parametrize(
    "listed", [7, [["::1"]], [["::1", -1]], [["::1", 65_536]], [["::1", True]], [["x" * 65, 53]]]
)
def test_addresses_are_hosts_with_ports(listed):
    with pytest.raises(MalformedControlMessage, match="dropped"):
        read_message(
            fields_of("pause", dropped=listed, pages=[], has_successor=True), (), FROM_KEEPER
        )
    good = read_message(
        fields_of("pause", dropped=[["::1", 53]], pages=[], has_successor=True), (), FROM_KEEPER
    )
    assert good.fields["dropped"] == [("::1", 53)]


def test_another_version_may_say_more():
    octets = fields_of("no", why="because", since=7)
    assert read_message(octets, (), FROM_KEEPERS).fields == {"why": "because"}
    assert read_message(fields_of("news", of=1), (), FROM_KEEPERS) == Message("news")
    with pytest.raises(MalformedControlMessage):
        read_message(fields_of("alive", why="because"), (), FROM_WORKER)


@pytest.mark.parametrize(
    "octets",
    [
        fields_of("hello", protocol="1", version="0.1"),
        fields_of("hello", version="0.1"),
        fields_of("take"),
        fields_of("take", addresses="all"),
        fields_of("take", addresses=[["::1", "53"]]),
        fields_of("take", addresses=[{}]),
        fields_of("sockets", protocol=1, addresses=[["::1", 53]] * 127),
    ],
)
def test_another_keeper_is_held_to_the_forms_too(octets):
    with pytest.raises(MalformedControlMessage):
        read_message(octets, (), FROM_KEEPERS)

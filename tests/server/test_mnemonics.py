import dns.rdatatype
import pytest

from nodecache.server.mnemonics import class_text, rcode_word, type_text


def test_types_are_spelled_as_everywhere():
    for rdtype in dns.rdatatype.RdataType:
        text = type_text(rdtype)
        if not text.startswith("TYPE") and rdtype != dns.rdatatype.NSAP_PTR:
            assert dns.rdatatype.from_text(text) == rdtype


def test_what_has_no_name_is_a_number():
    assert (type_text(65280), class_text(32), rcode_word(12)) == ("TYPE65280", "CLASS32", "12")


@pytest.mark.parametrize(("rdclass", "text"), [(1, "IN"), (3, "CH"), (255, "ANY")])
def test_classes_have_their_names(rdclass, text):
    assert class_text(rdclass) == text

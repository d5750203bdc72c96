"""What a directive wants told to upstreams goes along with the query; a client's options do not."""

import dns.edns
import dns.message

from nodecache.wire import read_query, upstream_query


def query(**options: object):
    return read_query(dns.message.make_query("a.example.", "A", **options).to_wire())


def telling(asked, options: bytes):
    asked.upstream_options = options
    return asked


def sent(asked) -> dns.message.Message:
    return dns.message.from_wire(upstream_query(asked, 7))


def test_a_directives_options_go_upstream_with_an_opt_of_ours():
    upstream = sent(telling(query(), b"\xff\xee\0\4abcd"))
    assert upstream.options == (dns.edns.GenericOption(0xFFEE, b"abcd"),)
    assert upstream.payload == 1232


def test_an_empty_set_of_options_still_brings_an_opt():
    assert sent(telling(query(), b"")).edns == 0


def test_do_goes_along():
    asked = query(want_dnssec=True)
    assert sent(telling(asked, b"")).ednsflags & 0x8000


def test_a_clients_own_options_stay_here():
    asked = query(use_edns=0, options=[dns.edns.GenericOption(10, b"cookie01")])
    assert sent(asked).options == ()

from nodecache.wire import hex_dump


def test_a_message_is_dumped_as_wireshark_reads_it():
    assert hex_dump(bytes(range(18))).splitlines() == [
        "debug: 000000 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f",
        "debug: 000010 10 11",
        "debug: 000012",
    ]

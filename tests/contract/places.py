"""How the tables of the docs' statements name their tests; and the files named often, to the beginning of a test's name.

A row is known by the beginning of its first cell, or of its first two where the first is not enough;
a paragraph by its beginning. A test is `file::name` below `tests/`, or a scenario's file.
"""

ZONE = "server/test_zone.py::test_"
STALE = "server/test_zone_stale.py::test_"
BOUNDS = "server/test_zone_bounds.py::test_"
QUERY = "wire/test_query.py::test_"
READER = "wire/test_reader.py::test_"
REPLY = "wire/test_reply.py::test_"
INPUT = "system/test_agent_input.py::test_"
STREAMS = "system/test_agent_streams.py::test_"
SEGMENT = "cache/test_segment.py::test_"
HTTP = "forward/transport/test_doh.py::test_"
TRAFFIC = "system/test_host_traffic.py::test_"
REPAIRS = "system/test_host_repairs.py::test_"
SOURCE = "config/test_source.py::test_"
RENDERING = "config/test_rendering.py::test_"
KUBE_DNS = "corefile/test_kubedns.py::test_"
DIRECTIVES = "server/directives/test_"
REWRITE = "server/directives/rewrite/test_rewrite.py::test_"
RECORDS = "wire/test_query_records.py::test_"

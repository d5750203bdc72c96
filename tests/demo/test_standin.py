import asyncio
import os

import dns.asyncquery
import dns.message

from nodecache.demo.standin import StandIn, sample_records, serve_until_closed
from tests.patience import PATIENCE_SECONDS


async def _ask_both(port: int) -> list[dns.message.Message]:
    query = dns.message.make_query("kubernetes.default.svc.cluster.local.", "A")
    return [
        await dns.asyncquery.udp(query, "127.0.0.1", timeout=PATIENCE_SECONDS, port=port),
        await dns.asyncquery.tcp(query, "127.0.0.1", timeout=PATIENCE_SECONDS, port=port),
    ]


async def _serve_and_ask() -> list[dns.message.Message]:
    lifeline, held = os.pipe()
    stand_in = StandIn(sample_records())
    serving = asyncio.create_task(serve_until_closed(stand_in, lifeline))
    responses = await _ask_both(stand_in.port)
    os.close(held)
    await serving
    os.close(lifeline)
    return responses


def test_stand_in_answers_over_udp_and_tcp_until_its_lifeline_is_cut():
    for response in asyncio.run(_serve_and_ask()):
        assert response.answer[0][0].to_text() == "10.96.0.1"

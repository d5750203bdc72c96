"""kube-dns' pods from a stand-in API server, over TLS, to the real command and its client library."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.certificates import make_certificates
from tests.helpers.prometheus import wait_until
from tests.needs import need_node
from tests.system.backends import Dnsperf
from tests.system.kube_dns import ZONE, KubeDns, agent, kube_dns
from tests.worker.apiserver import a_slice, endpoint

pytestmark = pytest.mark.system

need_node("dnsperf", "curl")

ROOT = Path(__file__).resolve().parents[2]
ADDRESS, PORT, TOKEN = "127.0.0.1", "6443", "a.token.of.its.own"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
AWAY_SECONDS = 15


class ApiServer:
    """The process. `asked` are the queries of the requests it has had."""

    def __init__(self, there: KubeDns, folder: Path) -> None:
        self._there = there
        self.certificates = make_certificates(folder, "kubernetes.default.svc")
        self.asked: list[dict[str, str]] = []
        self._found: dict[str, Any] = {}
        self.start()

    def start(self) -> None:
        """Be there, and know what was told before."""
        self._process = self._there.node.start(
            *(sys.executable, "-B", "-m", "tests.system.api_server", ADDRESS, PORT),
            *(str(self.certificates.server), str(self.certificates.server_key), TOKEN),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        for found in self._found.values():
            self.order(put=found)

    def kill(self) -> None:
        """Be away."""
        self._process.kill()
        self._process.communicate()

    def put(self, *endpoints: Any, name: str = "kube-dns-upstream-x7k2p") -> None:
        """The endpoints of a slice from now on."""
        self._found[name] = a_slice(*endpoints, name=name)
        self.order(put=self._found[name])

    def order(self, **order: Any) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self.asked = json.loads(self._process.stdout.readline())

    def until_watched(self) -> None:
        """Until a watch is the last thing that was asked for."""

        def is_watched() -> bool:
            self.order()
            return bool(self.asked) and "watch" in self.asked[-1]

        wait_until(is_watched, "a watch")

    def agent(self, folder: Path, token: str = TOKEN, **environment: str):
        """An agent that asks it, with a service account where a container has it."""
        account = folder / "account"
        account.mkdir(exist_ok=True)
        (account / "token").write_text(token)
        (account / "namespace").write_text("kube-system")
        (account / "ca.crt").write_bytes(self.certificates.authority.read_bytes())
        account.chmod(0o755)
        for file in account.iterdir():
            file.chmod(0o644)
        return agent(
            self._there,
            folder,
            *("-endpoints", "api"),
            before=("sh", "-c", MOUNT, str(account)),
            KUBERNETES_SERVICE_HOST=ADDRESS,
            KUBERNETES_SERVICE_PORT=PORT,
            **environment,
        )


# `ip netns exec` has mounts of its own: what is put there goes with the process.
MOUNT = f"""
mount -t tmpfs none /run && mkdir -p {ACCOUNT} && cp "$0"/* {ACCOUNT} && exec "$@"
"""


@pytest.fixture
def there(tmp_path) -> Iterator[KubeDns]:
    with kube_dns(tmp_path, 0.0, 0.0) as found:
        found.tell(None)  # DNS knows nobody
        yield found


@pytest.fixture
def api(there, tmp_path) -> ApiServer:
    return ApiServer(there, tmp_path)


def test_pods_are_listed_and_watched_and_one_that_terminates_is_left_at_once(there, api, tmp_path):
    first, second = (pod.address for pod in there.pods)
    api.put(endpoint(first), endpoint(second))
    with api.agent(tmp_path) as ours:
        ours.until_known(2, "api")
        assert (
            f"kube-dns' pods are {first} {second}: so say the EndpointSlices of kube-dns-upstream"
            in ours.log
        )
        assert ours.who_answers("a") == {first, second}
        assert there.service.asked() == []
        api.until_watched()
        api.put(endpoint(first, ready=False, terminating=True), endpoint(second))
        ours.until_known(1, "api")
        assert second in ours.who_answers("b") <= {second, there.service.address}
        assert there.service.asked_for_the_list() == []
        assert {asked["labelSelector"] for asked in api.asked} == {
            "kubernetes.io/service-name=kube-dns-upstream"
        }


def test_check_tells_the_pods_and_that_the_api_server_says_so(there, api, tmp_path):
    first, second = (pod.address for pod in there.pods)
    api.put(endpoint(first), endpoint(second))
    with api.agent(tmp_path) as ours:
        ours.until_known(2, "api")
        told = f"# kube-dns' pods are {first} {second}, as the EndpointSlices of kube-dns-upstream tell them"
        assert told in ours.check()
        api.kill()
        assert "kube-dns-upstream tell them; nobody answers now" in ours.check()


def test_slices_are_put_together_and_an_empty_list_is_the_service_address(there, api, tmp_path):
    first, second = (pod.address for pod in there.pods)
    api.put(endpoint(first))
    with api.agent(tmp_path) as ours:
        ours.until_known(1, "api")
        api.until_watched()
        api.put(endpoint(second), name="kube-dns-upstream-other")
        ours.until_known(2, "api")
        api.order(remove="kube-dns-upstream-other")
        ours.until_known(1, "api")
        api.put()
        ours.until_known(0, "api")
        assert ours.who_answers("e") == {there.service.address}
        assert "kube-dns' address is asked: the EndpointSlices of" in ours.log
        api.put(endpoint(second))
        ours.until_known(1, "api")
        assert second in ours.who_answers("f") <= {second, there.service.address}


@pytest.mark.parametrize(
    "orders",
    [
        [{"expire": True}],
        [{"bookmark": True}],
        [{"bookmark": True}, {"end": "closed"}],
        [{"end": "closed"}],
        [{"end": "reset"}],
    ],
    ids=["410 Gone", "bookmark", "closed after a bookmark", "closed", "reset"],
)
def test_whatever_becomes_of_the_watch_the_list_stays_and_changes_are_seen(
    there, api, tmp_path, orders
):
    first, second = (pod.address for pod in there.pods)
    api.put(endpoint(first), endpoint(second))
    with api.agent(tmp_path) as ours:
        ours.until_known(2, "api")
        api.until_watched()
        for order in orders:
            api.order(**order)
        assert ours.who_answers("w") <= {first, second}
        api.until_watched()
        assert ours.known("api") == 2
        api.put(endpoint(second))
        ours.until_known(1, "api")
        assert "Traceback" not in ours.log


def test_pods_of_the_nodes_zone_are_asked_where_hints_say_so(there, api, tmp_path):
    first, second = (pod.address for pod in there.pods)
    api.put(endpoint(first, "east"), endpoint(second, "west"))
    with api.agent(tmp_path, NODE_ZONE="west") as ours:
        ours.until_known(1, "api")
        assert second in ours.who_answers("z") <= {second, there.service.address}
        api.until_watched()
        api.put(endpoint(first, "east"), endpoint(second))  # one without a hint: they do not hold
        ours.until_known(2, "api")


def test_the_list_survives_an_api_server_that_is_away(there, api, tmp_path):
    first, second = (pod.address for pod in there.pods)
    api.put(endpoint(first), endpoint(second))
    with api.agent(tmp_path) as ours:
        ours.until_known(2, "api")
        api.until_watched()
        load = Dnsperf(there.node, tmp_path, 100, AWAY_SECONDS, zone=ZONE)
        api.kill()
        time.sleep(AWAY_SECONDS)
        assert ours.known("api") == 2
        result = load.result()
        assert (result.lost, set(result.rcodes)) == (0, {"NOERROR"})
        assert (
            len(there.service.asked()) < AWAY_SECONDS
        )  # of 100 a second, where both pods are slow
        assert ours.log.count("the last list stays") == 1
        api.start()
        api.put(endpoint(second))
        ours.until_known(1, "api")


def test_without_the_right_to_ask_the_service_address_is_asked_and_the_log_says_why(
    there, api, tmp_path
):
    api.put(endpoint(there.pods[0].address))
    with api.agent(tmp_path, token="another one") as ours:
        assert ours.who_answers("r") == {there.service.address}
        wait_until(lambda: "Unauthorized; the last list stays" in ours.log, "the reason")
        assert ours.known("api") == 0

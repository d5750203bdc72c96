import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.process.pods import MAX_PODS, PodAddress, is_pod_address, read_pods


def test_a_list_is_read_and_what_is_told_twice_is_one():
    told = [["10.244.0.2", 53, 53], ["fd00:10:244::2", 5353, 53], ["10.244.0.2", 53, 53]]
    assert read_pods(told) == (
        PodAddress("10.244.0.2", 53, 53),
        PodAddress("fd00:10:244::2", 5353, 53),
    )


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.8.0.1", "::1", "169.254.20.10", "fe80::1", "224.0.0.251", "ff02::fb"),
        *("0.0.0.0", "::", "255.255.255.255", "fe80::1%eth0", "fd00::1%eth0"),
        *("::ffff:127.0.0.1", "::ffff:10.244.0.2", "", "10.244.0", "kube-dns", "10.244.0.2/24"),
        *("010.244.0.2", "fd00::000a", "10.244.0.2\n"),
    ],
)
def test_no_pod_has_such_an_address(host):
    assert not is_pod_address(host)
    with pytest.raises(ValueError, match="no address of a pod"):
        read_pods([[host, 53, 53]])


@pytest.mark.parametrize(
    "told",
    [
        [["10.244.0.2", 0, 53]],
        [["10.244.0.2", 53, 65536]],
        [["10.244.0.2", 53, -1]],
        [["10.244.0.2", True, 53]],
        [["10.244.0.2", 53.0, 53]],
        [["10.244.0.2", "53", 53]],
        [["10.244.0.2", 53]],
        [["10.244.0.2", 53, 53, 53]],
        ["10.244.0.2"],
        [["10.244.0.2", 53, 53]] * (MAX_PODS + 1),
        {"10.244.0.2": 53},
        None,
        "pods",
    ],
)
def test_anything_else_is_refused_as_a_whole(told):
    with pytest.raises(ValueError, match="pod"):
        read_pods(told)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.ip_addresses().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=2),
)


@given(st.lists(st.tuples(st.ip_addresses().map(str), values, values).map(list)) | values)
def test_whatever_is_told_the_outcome_is_pods_or_one_error(told):
    try:
        pods = read_pods(told)
    except ValueError:
        return
    assert all(is_pod_address(pod.host) and 0 < pod.udp_port < 65536 for pod in pods)

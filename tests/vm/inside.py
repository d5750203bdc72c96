print("hello from inside", flush=True)
import time, subprocess

t = time.time()
import nodecache.host

print("import", time.time() - t)
print(
    subprocess.run(
        "uname -a; ip link add nodelocaldns type dummy; ip addr; modprobe ip_vs; ipvsadm -L; nft list ruleset; iptables-legacy -S; iptables-nft -S",
        shell=True,
        capture_output=True,
        text=True,
    ),
    flush=True,
)

# nodecache's image: Debian's Python and packet filters, a handful of Python packages, and the agent.
#
#   docker build -t nodecache .
#   docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/nodecache:TAG --push .
#
# The Python packages are pinned by hash. The base is pinned by its point release, whose packages are
# signed by Debian; what Debian installs on top follows its security updates, so that a rebuild is
# what cures a CVE.

ARG DEBIAN=debian:13.1-slim

FROM ${DEBIAN} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev python3-dev python3-pip python3-venv
RUN python3 -m venv --without-pip /opt/nodecache
WORKDIR /src
COPY deploy/requirements.txt deploy/requirements.txt
RUN pip --python /opt/nodecache/bin/python install --no-cache-dir --no-compile \
        --require-hashes --only-binary :all: --requirement deploy/requirements.txt
# mypyc makes machine code of what every query goes through; what it needs stays in this stage.
COPY deploy/build-requirements.txt deploy/build-requirements.txt
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: \
        --requirement deploy/build-requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY deploy/compile.py deploy/compile.py
COPY nodecache nodecache
# How well gcc optimizes: at 0 it is done in a tenth of the time, which is for tests.
ARG MYPYC_OPT_LEVEL=3
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --no-index \
        --wheel-dir /opt/build/wheel . \
 && pip --python /opt/nodecache/bin/python install --no-cache-dir --no-compile --no-deps \
        --no-index /opt/build/wheel/*.whl \
 && /opt/nodecache/bin/nodecache -version | grep --quiet compiled
# The root file system is read-only at run time, so nothing can be compiled then. Hashes instead of
# times, unchecked, because no source here ever changes.
RUN /opt/nodecache/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/nodecache

FROM ${DEBIAN}
# iptables is for kernels without nf_tables. No program keeps its setuid bit: only root runs here, and
# a worker that is not root must not become it.
RUN apt-get update \
 && apt-get upgrade --yes \
 && apt-get install --yes --no-install-recommends iptables nftables python3 \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/log/*.log /var/log/apt /var/cache/debconf/*-old \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=build /opt/nodecache /opt/nodecache
# The original's program is /node-cache; scripts that exec it go on working.
RUN ln -s /opt/nodecache/bin/node-cache /node-cache
# What the manifest leaves writable: `nodecache check -` puts its input into a folder.
ENV PATH=/opt/nodecache/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    TMPDIR=/run/nodecache
LABEL org.opencontainers.image.title="nodecache" \
      org.opencontainers.image.description="A node-local DNS cache for Kubernetes, drop-in for node-local-dns" \
      org.opencontainers.image.licenses="Apache-2.0"
EXPOSE 53/udp 53/tcp
# Root, because the keeper sets up the host; its worker, which reads what strangers send, is nobody.
ENTRYPOINT ["/node-cache"]

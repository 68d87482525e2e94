# docker build -t headroom-agent:0.1.0 .                              both commands: agent and aggregator
# docker build -t headroom-agent:0.1.0-pull --build-arg SET=pull .    an agent that is scraped or only spools: no gRPC
#
# BASE is any glibc system with ldd and a python3 (3.11 or newer) that has pip and venv. Nothing of it is in the image but
# that Python and the libraries it loads: no shell, no package manager. What is installed is locked, with hashes for
# amd64 and arm64, in requirements/. Where wheels/ holds those (docs/air-gap.md), the build needs no network.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
ARG SET=full
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY . .
# Wheels only, and only those whose hashes are locked. Our own wheel is made by the locked setuptools in a place of its
# own, so that neither it nor pip ends up in the image.
RUN set -eu; \
    from=; [ ! -d wheels ] || from="--no-index --find-links=wheels"; \
    locked() { python3 -m pip --python "$1/bin/python" install --no-compile --require-hashes --only-binary=:all: $from -r "requirements/$2.txt"; }; \
    python3 -m venv --without-pip /opt/build; locked /opt/build build; \
    python3 -m pip --python /opt/build/bin/python wheel --no-deps --no-build-isolation --no-index --wheel-dir=/own .; \
    python3 -m venv --without-pip /opt/headroom; locked /opt/headroom "$SET"; \
    python3 -m pip --python /opt/headroom/bin/python install --no-compile --no-deps --no-index /own/*.whl; \
    cd /opt/headroom; rm -rf include .gitignore; find bin -type f ! -name headroom -delete
# The interpreter, its standard library but for what only developers and desktops use, and the libraries that these and
# the packages load. Scanners find the libraries' packages where distroless images have them.
RUN set -eu; tree=/tree; \
    stdlib=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))'); \
    mkdir -p "$tree/etc" "$tree/tmp" "$tree/var/lib/dpkg/status.d" && chmod 1777 "$tree/tmp"; \
    tar -chf - --exclude=__pycache__ --exclude='*-packages' --exclude='config-*' --exclude='*test*.so' --exclude='xx*.so' \
        $(for name in test idlelib tkinter turtledemo lib2to3 ensurepip pydoc_data _pyrepl curses dbm \
            'lib-dynload/_tkinter*' 'lib-dynload/_curses*' 'lib-dynload/*dbm*' 'lib-dynload/readline*'; \
          do echo "--exclude=$stdlib/$name"; done) "$stdlib" | tar -xf - -C "$tree"; \
    cp --parents -L "$(command -v python3)" "$tree"; \
    { find "$tree" /opt/headroom -name '*.so*' -exec ldd {} +; ldd "$(command -v python3)"; ldconfig -p | grep libgcc_s; } > /ldd; \
    if grep 'not found' /ldd; then echo 'BASE lacks libraries that the packages load' >&2; exit 1; fi; \
    grep -o '/[^ :]*\.so[^ :]*' /ldd | grep -v -e "^$tree" -e ^/opt | sort -u > /libraries; \
    xargs cp --parents -L -t "$tree" < /libraries; \
    for file in $(xargs realpath < /libraries); do \
      ! package=$(dpkg -S "$file" 2>/dev/null) || dpkg -s "${package%%:*}" > "$tree/var/lib/dpkg/status.d/${package%%:*}"; \
    done; \
    cp -L /etc/os-release /etc/ld.so.cache "$tree/etc"; \
    echo 'hosts: files dns' > "$tree/etc/nsswitch.conf"; \
    echo 'nobody:x:65534:65534:nobody:/:/sbin/nologin' > "$tree/etc/passwd"; echo 'nobody:x:65534:' > "$tree/etc/group"; \
# The root filesystem is read-only in a pod, so what is not compiled here would be at every start: slower, and 5 MiB more
# memory. Never checked against the sources, whatever a registry or a mirror does to file times.
    python3 -m compileall -q -s "$tree" -p / --invalidation-mode unchecked-hash "$tree$stdlib"; \
    python3 -m compileall -q -f --invalidation-mode unchecked-hash /opt/headroom/lib

FROM scratch
COPY --from=build /tree /
COPY --from=build /opt/headroom /opt/headroom
ENV PATH=/opt/headroom/bin \
    MALLOC_ARENA_MAX=2 \
    PYTHONDONTWRITEBYTECODE=1
# nobody: most of /proc and /sys is readable by everyone. Numeric, so that runAsNonRoot can be checked.
USER 65534:65534
# What was left out above and is needed all the same shows here, not on a node.
RUN ["python3", "-c", "import agent.app, agent.push.sink, agent.sources.kubelet.trust, sqlite3, yaml"]
EXPOSE 9910 9911 9912
ENTRYPOINT ["headroom"]
CMD ["agent"]

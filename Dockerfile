# docker build -t headroom-agent:0.1.0 .
# BASE is any image with a python3 of 3.11 or newer that has pip and venv. Both stages use the same one.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY . .
RUN python3 -m pip wheel --no-cache-dir --wheel-dir /wheels .
# Without pip: only what the agent needs at run time. The .pyc files are never checked against their sources, whatever
# a registry or a mirror does to file times.
RUN python3 -m venv --without-pip /opt/headroom \
 && python3 -m pip --python /opt/headroom/bin/python install --no-compile --no-index --find-links /wheels headroom-agent \
 && /opt/headroom/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/headroom/lib

FROM ${BASE}
# The official images come without .pyc files of the standard library. The root filesystem is read-only in a pod, so they
# would be compiled at every start: slower, and 5 MiB more memory.
RUN cd "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && python3 -m compileall -q -x '/(dist-packages|site-packages|test|tests|idlelib|tkinter|lib2to3|ensurepip)/' \
    --invalidation-mode unchecked-hash .
COPY --from=build /opt/headroom /opt/headroom
ENV PATH=/opt/headroom/bin:$PATH \
    MALLOC_ARENA_MAX=2 \
    PYTHONDONTWRITEBYTECODE=1
# nobody: most of /proc and /sys is readable by everyone. Numeric, so that runAsNonRoot can be checked.
USER 65534:65534
EXPOSE 9910
ENTRYPOINT ["headroom"]
CMD ["agent"]

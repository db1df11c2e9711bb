FROM python:3.12-slim-bookworm AS build

# What comes from elsewhere is locked, and installed before the sources: a change of those leaves this layer as it is.
COPY requirements /requirements
RUN pip install --no-cache-dir --require-hashes -r /requirements/build.txt \
 && python -m venv --without-pip /opt/logpipe \
 && pip --python /opt/logpipe/bin/python install --no-cache-dir --require-hashes -r /requirements/image.txt

COPY . /source
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels /source /source/plugins/*/ \
 && pip --python /opt/logpipe/bin/python install --no-deps --no-index /wheels/* \
 && /opt/logpipe/bin/logpipe companions install /opt/logpipe/bin


FROM python:3.12-slim-bookworm

COPY --from=build /opt/logpipe /opt/logpipe
ENV PATH=/opt/logpipe/bin:$PATH

# Where td-agent has its configuration, positions and own files, so that its mounts fit.
RUN useradd --system --uid 10001 --user-group --no-create-home logpipe \
 && install -d -o logpipe -g logpipe /etc/td-agent /var/log/pos /var/log/td-agent

# A number, because Kubernetes can't tell from a name that it is not root.
USER 10001:10001

# A command and not an entry point, so that `docker run IMAGE td-agent …` means what it says.
CMD ["logpipe", "-c", "/etc/td-agent/td-agent.conf"]

# The image of the Dataflow Flex Template's launcher: the worker's image and Google's launcher program.
#
#   docker build -f docker/flex.Dockerfile --build-arg WORKER_IMAGE=... --build-arg LAUNCHER_IMAGE=... -t ... .
#
# WORKER_IMAGE is docker/beam.Dockerfile's target `dataflow` as it was pushed: the workers of a launched job run it.
# LAUNCHER_IMAGE is Google's base image of Flex Templates for Python 3.11, see docs/dataflow.md.
ARG WORKER_IMAGE
ARG LAUNCHER_IMAGE

# Both are given by digest when it is built.
# hadolint ignore=DL3006
FROM ${LAUNCHER_IMAGE} AS launcher

# hadolint ignore=DL3006
FROM ${WORKER_IMAGE}
ARG WORKER_IMAGE
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
COPY pipelines/flex.py /template/flex.py
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/flex.py \
    XLNET_WORKER_IMAGE=${WORKER_IMAGE}
# The launcher writes its log below /var/log.
# hadolint ignore=DL3002
USER 0:0
ENTRYPOINT ["/opt/google/dataflow/python_template_launcher"]

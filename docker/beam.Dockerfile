# The image of a Beam worker, for Dataflow, Flink and Spark: this package, its pinned dependencies, Beam's boot program.
#
#   docker build -f docker/beam.Dockerfile --target dataflow -t REGISTRY/xlnet-beam:0.1.0 .
#
# Targets: `dataflow` (root, which that service asks for), `worker` (Flink, Spark: no root), `code` (without Beam's boot
# program: what a worker imports). Both sources can be pinned: --build-arg BASE_IMAGE=python:3.11-slim@sha256:...
# Beam's image must have the Beam version of locks/run.txt and the Python version of the base.
ARG BASE_IMAGE=python:3.11-slim
ARG BEAM_IMAGE=apache/beam_python3.11_sdk:2.77.0

FROM ${BASE_IMAGE} AS build
# What trains, draws or talks to Kubeflow: 2 GB that every worker would fetch and none would import.
ARG LEFT_OUT="tensorflow|keras|tensorboard|tensorboard-data-server|libclang|h5py|kfp|kfp-kubernetes|kfp-pipeline-spec|kfp-server-api|kubernetes|matplotlib|fonttools|kiwisolver|contourpy|scikit-learn|joblib|pillow"
WORKDIR /build
COPY locks/run.txt .
RUN python -m venv /opt/xlnet \
    && grep -vE "^(${LEFT_OUT})==" run.txt > worker.txt \
    && /opt/xlnet/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps -r worker.txt
COPY pyproject.toml README.md LICENSE ./
COPY xlnet xlnet
COPY pipelines pipelines
COPY components components
# pip stays: Beam's boot program asks it whether Beam is there.
RUN /opt/xlnet/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && /opt/xlnet/bin/python -m compileall -q /opt/xlnet/lib \
    && /opt/xlnet/bin/python -c "import pipelines.preprocess, pipelines.dataflow_jobs, pipelines.flex"

FROM ${BASE_IMAGE} AS code
COPY --from=build /opt/xlnet /opt/xlnet
# The last line keeps Beam's boot program from making an environment of its own, which would lack what is in this one.
ENV PATH=/opt/xlnet/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT ["xlnet"]

FROM ${BEAM_IMAGE} AS beam

FROM code AS worker
COPY --from=beam /opt/apache/beam /opt/apache/beam
ENTRYPOINT ["/opt/apache/beam/boot"]

FROM worker AS dataflow
# Dataflow mounts folders of root's into the container and lets the worker write there.
# hadolint ignore=DL3002
USER 0:0

# The images of the chain, of one lock and in layers that they share:
#
#   pipeline                               every step of the pipeline; the default
#   trainer-cpu, trainer-gpu, trainer-tpu  what pretrains, fine-tunes and evaluates: without Beam
#
#   docker build -f docker/xlnet.Dockerfile --target pipeline -t REGISTRY/xlnet-pipeline:0.1.0 .
#
# `make images` builds them all, and names them by version and content. The base can be pinned:
# --build-arg BASE_IMAGE=python:3.11-slim@sha256:...
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS libraries
# What only Beam and its connectors to Google's services ask for.
ARG NOT_FOR_TRAINING="aiohappyeyeballs|aiohttp|aiosignal|annotated-types|anyio|apache-beam|asn1crypto|attrs|backports-tarfile|beartype|cachetools|cloud-sql-python-connector|distro|dnspython|docker|fastavro|fasteners|frozenlist|google-apitools|google-auth-httplib2|google-cloud-aiplatform|google-cloud-bigquery|google-cloud-bigquery-storage|google-cloud-bigtable|google-cloud-build|google-cloud-dataflow-client|google-cloud-datastore|google-cloud-dlp|google-cloud-kms|google-cloud-language|google-cloud-monitoring|google-cloud-pubsub|google-cloud-recommendations-ai|google-cloud-resource-manager|google-cloud-secret-manager|google-cloud-spanner|google-cloud-sql|google-cloud-videointelligence|google-cloud-vision|google-genai|grpc-google-iam-v1|grpc-interceptor|grpcio-status|h11|httpcore|httplib2|httpx|importlib-metadata|jaraco-classes|jaraco-context|jaraco-functools|jeepney|jsonpickle|keyring|keyrings-google-artifactregistry-auth|lazy-importer|mmh3|more-itertools|multidict|oauth2client|objsize|opentelemetry-resourcedetector-gcp|opentelemetry-sdk|opentelemetry-semantic-conventions|orjson|pg8000|pluggy|propcache|pydantic|pydantic-core|pymongo|pymysql|python-tds|pytz|regex|rsa|scramp|secretstorage|sniffio|sortedcontainers|sqlparse|tenacity|typing-inspection|websockets|yarl|zipp"
WORKDIR /build
# pip stands beside what it installs, so that no image has it.
RUN python -m venv /opt/tools && python -m venv --without-pip /opt/xlnet
COPY docker/install.sh locks/run.txt ./
RUN grep -vE "^(${NOT_FOR_TRAINING})==" run.txt > training.txt && sh install.sh --requirement training.txt

# What an image has beyond that comes into a folder of its own, which is one layer.
FROM libraries AS beam
RUN sh install.sh --prefix /opt/more --requirement run.txt

FROM libraries AS gpu
COPY locks/gpu.txt .
RUN sh install.sh --prefix /opt/more --requirement gpu.txt

FROM libraries AS tpu
COPY locks/tpu.txt .
RUN sh install.sh --prefix /opt/more --requirement tpu.txt

FROM libraries AS code
COPY pyproject.toml README.md LICENSE ./
COPY xlnet xlnet
COPY pipelines pipelines
COPY components components
RUN sh install.sh --prefix /opt/code --no-build-isolation .

FROM ${BASE_IMAGE} AS runtime
COPY --from=libraries /opt/xlnet /opt/xlnet
# Any user may run it, also one that no file of the image knows.
ENV PATH=/opt/xlnet/bin:$PATH \
    HOME=/tmp \
    USER=xlnet \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /xlnet
COPY configs configs
USER 10001:10001
ENTRYPOINT ["xlnet"]

FROM runtime AS trainer-cpu
COPY --from=code /opt/code /opt/xlnet
ARG COMMIT=""
ENV XLNET_COMMIT=${COMMIT}

FROM runtime AS trainer-gpu
COPY --from=gpu /opt/more /opt/xlnet
COPY --from=code /opt/code /opt/xlnet
ARG COMMIT=""
ENV XLNET_COMMIT=${COMMIT} \
    KERAS_BACKEND=jax \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM runtime AS trainer-tpu
COPY --from=tpu /opt/more /opt/xlnet
COPY --from=code /opt/code /opt/xlnet
ARG COMMIT=""
ENV XLNET_COMMIT=${COMMIT} \
    KERAS_BACKEND=jax

FROM runtime AS pipeline
COPY --from=beam /opt/more /opt/xlnet
COPY --from=code /opt/code /opt/xlnet
ARG COMMIT=""
ENV XLNET_COMMIT=${COMMIT}

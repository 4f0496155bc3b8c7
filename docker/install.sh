#!/bin/sh
# Installs into /opt/xlnet, with the pip of /opt/tools, what the arguments name, and nothing that they do not name.
set -eu
exec /opt/tools/bin/pip --python /opt/xlnet/bin/python --no-cache-dir --disable-pip-version-check install --no-deps "$@"

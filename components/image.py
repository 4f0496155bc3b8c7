"""The image that every step runs in."""

import os

IMAGE = os.environ.get("XLNET_IMAGE", "xlnet-pipelines:0.1.0")

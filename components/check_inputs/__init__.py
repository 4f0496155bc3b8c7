"""The step: check inputs."""

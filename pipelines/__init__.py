"""Pipelines: the Beam job that makes a data set, and the Kubeflow pipeline that chains the stages."""

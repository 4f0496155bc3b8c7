"""The steps of the Kubeflow pipeline: one folder each, a typed function that calls the library.

Every component runs in the project's own image, so the library is imported inside it. Data sets are passed by URI:
the library reads and writes them where they lie. Models, evaluations and pages are small and are passed as artifacts.
"""

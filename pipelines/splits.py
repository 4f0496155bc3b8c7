"""How much of an input one element of a job reads."""

SPLIT = 16 << 20  # bytes of text, where the format can be divided
MOST_SPLITS = 10_000  # more make the job's description too long for Dataflow

"""Names of files that several stages write or read."""

VOCABULARY = "spiece.model"  # the customary name
WEIGHTS = "model.safetensors"
CARD = "model-card.json"  # of an export
LINEAGE = "lineage.json"  # of a pushed version

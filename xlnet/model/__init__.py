"""XLNet itself in Keras 3, on every backend: config, attention, backbone, heads, checkpoints."""

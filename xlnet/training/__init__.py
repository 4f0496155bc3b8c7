"""Training: batches, the pretraining and fine-tuning loops, optimizers, checkpoints."""

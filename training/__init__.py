"""Training toy models with PyTorch: the batched trainer, the grids, the builder, live runs."""

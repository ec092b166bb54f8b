"""The science of toy models of superposition, in NumPy and SciPy alone."""

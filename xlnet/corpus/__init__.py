"""From text to training records, with NumPy alone."""

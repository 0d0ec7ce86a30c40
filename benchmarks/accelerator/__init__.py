"""Speed, precision and memory on accelerators."""

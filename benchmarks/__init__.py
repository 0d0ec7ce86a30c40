"""Commands that make every figure the README quotes."""

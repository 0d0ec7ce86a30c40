"""How fast the kernels are, beside others, beside the machine, and as their inputs grow."""

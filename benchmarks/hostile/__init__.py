"""Damaged zoos, features, labels and images, made from seeds: each must end in a ranking or in one sentence."""

"""Targets other than a class a sample: what scores say of numbers, several labels, groups and words, and the truth."""

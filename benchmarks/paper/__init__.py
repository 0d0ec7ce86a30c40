"""The paper's model zoos: what they are, and how they are trained."""

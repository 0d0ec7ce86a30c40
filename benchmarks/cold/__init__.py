"""What a first ranking costs."""

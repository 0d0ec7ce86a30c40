"""The version, kept where the build and `nrjax --version` both read it."""

__version__ = "0.1.0"

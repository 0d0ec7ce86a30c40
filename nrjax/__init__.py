"""nrjax."""

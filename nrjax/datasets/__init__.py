"""Labelled images: TFDS without TensorFlow, directories of images, `.npz`."""

from nrjax.datasets._images import fit_images
from nrjax.datasets._load import Dataset, load_dataset
from nrjax.datasets._select import parse_classes

__all__ = ["Dataset", "fit_images", "load_dataset", "parse_classes"]

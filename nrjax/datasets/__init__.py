"""Labelled images: TFDS without TensorFlow, directories of images, `.npz`; and features that lie in files."""

from nrjax.datasets._files import FeatureFiles, read_array, read_labels
from nrjax.datasets._images import fit_images
from nrjax.datasets._load import Dataset, load_dataset
from nrjax.datasets._select import parse_classes

__all__ = [
    "Dataset",
    "FeatureFiles",
    "fit_images",
    "load_dataset",
    "parse_classes",
    "read_array",
    "read_labels",
]

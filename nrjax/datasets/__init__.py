"""Labelled images, texts and arrays: TFDS without TensorFlow, directories, tables; features that lie in files."""

from nrjax.datasets._columns import columns_of_words
from nrjax.datasets._dataset import Dataset
from nrjax.datasets._decode import of_picture, without_news
from nrjax.datasets._draw_positions import draw_positions
from nrjax.datasets._files import FeatureFiles, read_labels
from nrjax.datasets._image_arrays import channels_last, fit_images, stack
from nrjax.datasets._lazy_images import Images
from nrjax.datasets._load import load_dataset
from nrjax.datasets._objects import holds_labels
from nrjax.datasets._positions import Position, Positions
from nrjax.datasets._recordings import Recording, Recordings
from nrjax.datasets._sample_sequence import Kind, SampleSequence
from nrjax.datasets._select import parse_classes
from nrjax.datasets._suffixes import kind_of_file
from nrjax.datasets._table_columns import ColumnChoice
from nrjax.datasets._text_pairs import Pair, Pairs
from nrjax.datasets._tfds import data_folder, is_prepared
from nrjax.datasets._words import Word, Words
from nrjax.errors import BrokenImage

__all__ = [
    "BrokenImage",
    "ColumnChoice",
    "Dataset",
    "FeatureFiles",
    "Images",
    "Kind",
    "Pair",
    "Pairs",
    "Position",
    "Positions",
    "Recording",
    "Recordings",
    "SampleSequence",
    "Word",
    "Words",
    "channels_last",
    "columns_of_words",
    "data_folder",
    "draw_positions",
    "fit_images",
    "holds_labels",
    "is_prepared",
    "kind_of_file",
    "load_dataset",
    "of_picture",
    "parse_classes",
    "read_labels",
    "stack",
    "without_news",
]

"""A head on the features of a chosen model: predictions for new samples."""

from nrjax.heads._files import load_head
from nrjax.heads._fit import fit_head
from nrjax.heads._head import Head

__all__ = ["Head", "fit_head", "load_head"]

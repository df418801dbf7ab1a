"""Images, words and sentences to embeddings, through the networks of timm, torchvision, open_clip and sentence-transformers.

`inputs <- cache <- batches <- run`, `preprocessing <- models <- run`; only `models` and `preprocessing` import torch, and only
when a network is built.
"""

from gwrsa.extraction.preprocessing import Preprocessing
from gwrsa.extraction.run import extract

__all__ = ["Preprocessing", "extract"]

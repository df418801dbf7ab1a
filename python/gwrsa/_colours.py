"""The fourteen spectral colours of Ekman (1954): as people judged them, and as colorimetry places them.

Ekman, G. (1954). Dimensions of color vision. Journal of Psychology 38, 467-474, table 1.
"""

from __future__ import annotations

import numpy as np

from gwrsa._validate import FloatArray
from gwrsa.embedding import Embedding
from gwrsa.rdm import RDM

WAVELENGTHS = (434, 445, 465, 472, 490, 504, 537, 555, 584, 600, 610, 628, 651, 674)
"""Nanometres."""

# Mean similarity in per cent, upper triangle: a row a colour against all of longer wavelength.
_SIMILARITY = (
    (86, 42, 42, 18, 6, 7, 4, 2, 7, 9, 12, 13, 16),
    (50, 44, 22, 9, 7, 7, 2, 4, 7, 11, 13, 14),
    (81, 47, 17, 10, 8, 2, 1, 2, 1, 5, 3),
    (54, 25, 10, 9, 2, 1, 0, 1, 2, 4),
    (61, 31, 26, 7, 2, 2, 1, 2, 0),
    (62, 45, 14, 8, 2, 2, 2, 1),
    (73, 22, 14, 5, 2, 2, 0),
    (33, 19, 4, 3, 2, 2),
    (58, 37, 27, 20, 23),
    (74, 50, 41, 28),
    (76, 62, 55),
    (85, 68),
    (76,),
)


def human() -> RDM:
    """One minus the mean similarity, 0 to 1, that 31 people gave to each pair of colours."""
    values = np.array([s for row in _SIMILARITY for s in row], dtype=np.float64)
    return RDM(1.0 - values / 100.0, _items(), metric="1 - judged similarity", name="human colour similarity")


def chromaticity() -> Embedding:
    """CIE 1976 u'v' of the wavelengths, scaled so that the largest distance is 1."""
    x, y, z = matching_functions(np.array(WAVELENGTHS, dtype=np.float64))
    uv = np.stack([4.0 * x, 9.0 * y], axis=1) / (x + 15.0 * y + 3.0 * z)[:, None]
    largest = np.linalg.norm(uv[:, None] - uv[None], axis=2).max()
    return Embedding(uv / largest, _items(), name="CIE u'v' chromaticity")


def srgb() -> FloatArray:
    """Display colours (14, 3) in [0, 1]: white is added to what a screen cannot show."""
    xyz = np.stack(matching_functions(np.array(WAVELENGTHS, dtype=np.float64)), axis=1)
    to_rgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    rgb = xyz @ to_rgb.T
    rgb -= np.minimum(rgb.min(axis=1, keepdims=True), 0.0)
    rgb /= rgb.max(axis=1, keepdims=True)
    gamma: FloatArray = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return gamma


def matching_functions(nm: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """CIE 1931 x, y, z at wavelengths in nm: Wyman, Sloan & Shirley (2013), https://jcgt.org/published/0002/02/01/, equation 4."""

    def lobe(height: float, centre: float, below: float, above: float) -> FloatArray:
        t = (nm - centre) / np.where(nm < centre, below, above)
        return height * np.exp(-0.5 * t * t)

    x = lobe(1.056, 599.8, 37.9, 31.0) + lobe(0.362, 442.0, 16.0, 26.7) + lobe(-0.065, 501.1, 20.4, 26.2)
    y = lobe(0.821, 568.8, 46.9, 40.5) + lobe(0.286, 530.9, 16.3, 31.1)
    z = lobe(1.217, 437.0, 11.8, 36.0) + lobe(0.681, 459.0, 26.0, 13.8)
    return x, y, z


def _items() -> tuple[str, ...]:
    return tuple(f"{nm} nm" for nm in WAVELENGTHS)

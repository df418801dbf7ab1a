"""MATLAB files of version 4 to 7: what the format allows is read, and what SciPy falls over is refused by name before it sees it."""

import struct
import zlib

import numpy as np
import pytest
import scipy.io
import scipy.sparse

import gwrsa
from gwrsa.loaders import load_array
from mutations import refused


def mat_element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def mat_matrix(class_of, dims, *rest):
    flags = mat_element(6, struct.pack("<II", class_of, 0))
    sizes = mat_element(5, struct.pack(f"<{len(dims)}i", *dims))
    return mat_element(14, flags + sizes + mat_element(1, b"x") + b"".join(rest))


def mat_file(*elements):
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(elements)


CELLS, STRUCT, CHARACTERS, NUMBERS = 1, 2, 4, 6


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("element", "match"),
    [
        (mat_matrix(CELLS, (2**20, 2**12)), "claims"),
        (mat_matrix(CHARACTERS, (1, 2**31 - 1), mat_element(4, b"")), "claims"),
        (mat_matrix(NUMBERS, (2**30, 2**30), mat_element(9, b"")), "claims"),
        (mat_matrix(NUMBERS, (-1, 2), mat_element(9, b"")), "negative"),
        (mat_matrix(NUMBERS, (1, 2), struct.pack("<II", 9, 2**32 - 16)), "claims"),
    ],
)
def test_a_mat_file_that_claims_more_than_it_holds(tmp_path, element, match, packed):
    if packed:
        compressed = zlib.compress(element)
        element = struct.pack("<II", 15, len(compressed)) + compressed
    (tmp_path / "a.mat").write_bytes(mat_file(element))
    refused(tmp_path / "a.mat", match)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("kind", [0, 8, 10, 11, 19, 20, 0x3009])
def test_mat_numbers_of_a_kind_that_there_is_not(tmp_path, kind, small):
    # SciPy looks the kind up beyond the end of a table.
    element = struct.pack("<HHI", kind, 4, 1) if small else mat_element(kind, bytes(8))
    (tmp_path / "a.mat").write_bytes(mat_file(mat_matrix(NUMBERS, (1, 1), element)))
    refused(tmp_path / "a.mat", "the numbers must be of one of these kinds of the format: .*; got")


def test_mat_matrices_end_with_their_elements(tmp_path):
    """SciPy reads on in what comes next, or beyond the end, and takes text and numbers from there."""
    one = mat_matrix(NUMBERS, (1, 1), mat_element(9, bytes(8)))
    broken = {
        "must hold the numbers, got its end": mat_matrix(NUMBERS, (1, 1)),
        "must hold the text, got its end": mat_matrix(CHARACTERS, (1, 1)),
        "the text must be of one of these kinds .*; got 14": mat_matrix(CHARACTERS, (1, 1), one),
        "must hold a matrix, got its end": mat_matrix(CELLS, (1, 2), one),
        "must have 2 dimensions or more, got 0": mat_matrix(NUMBERS, (), mat_element(9, bytes(8))),
        "the dimensions must have whole numbers, got 6 bytes": mat_element(
            14, mat_element(6, struct.pack("<II", NUMBERS, 0)) + mat_element(5, bytes(6))
        ),
        "must end with its elements": mat_matrix(
            CELLS, (1, 1), mat_matrix(CHARACTERS, (1, 1), *[mat_element(4, b"ab")] * 2)
        ),
        "whole names of 0 letters": mat_matrix(STRUCT, (1, 1), mat_element(5, bytes(4)), mat_element(1, b"x"), one),
        "whole names of 2 letters": mat_matrix(
            STRUCT, (1, 1), mat_element(5, b"\x02\0\0\0"), mat_element(1, b"abc"), one
        ),
    }
    flags = mat_element(6, struct.pack("<II", 0x800 | NUMBERS, 0))
    rest = mat_element(5, struct.pack("<ii", 1, 1)) + mat_element(1, b"x") + mat_element(9, bytes(8))
    broken["numbers, got its end"] = mat_element(14, flags + rest)  # complex, without the imaginary ones
    for match, element in broken.items():
        (tmp_path / "a.mat").write_bytes(mat_file(element))
        refused(tmp_path / "a.mat", match)


def test_cells_nested_without_end(tmp_path):
    element = mat_matrix(NUMBERS, (1, 1), mat_element(9, bytes(8)))
    for _ in range(1000):
        element = mat_matrix(CELLS, (1, 1), element)
    (tmp_path / "a.mat").write_bytes(mat_file(element))
    refused(tmp_path / "a.mat", "nested")


def test_a_mat_file_that_inflates_without_end(tmp_path):
    deflate = zlib.compressobj(9)
    packed = (
        deflate.compress(struct.pack("<II", 14, 2**31))
        + b"".join(deflate.compress(bytes(1 << 24)) for _ in range(40))
        + deflate.flush()
    )
    (tmp_path / "a.mat").write_bytes(mat_file(struct.pack("<II", 15, len(packed)) + packed))
    refused(tmp_path / "a.mat", "claims")


def test_a_mat_file_of_every_kind_still_reads(tmp_path):
    values = np.arange(6.0).reshape(2, 3)
    for packed in (False, True):
        scipy.io.savemat(
            tmp_path / "a.mat",
            {
                "x": values,
                "s": {"a": [1, 2], "b": {"c": "text"}},
                "t": "text",
                "none": np.empty((0, 0)),
                "sparse": scipy.sparse.csc_array(np.eye(3)),
                "complex": np.array([1 + 2j]),
                "cells": np.array([["one", 2.0], [np.array([], dtype=object), True]], dtype=object),
                "words": np.array(["one", "three"]),
            },
            do_compression=packed,
        )
        assert np.array_equal(load_array(tmp_path / "a.mat", key="x").values, values)
    scipy.io.savemat(tmp_path / "b.mat", {"x": values}, format="4")
    assert np.array_equal(load_array(tmp_path / "b.mat").values, values)
    assert gwrsa.Embedding.load(tmp_path / "b.mat").values.shape == (2, 3)


def test_integers_of_either_sign_and_names_in_utf8_are_read(tmp_path):
    flags, numbers = mat_element(6, struct.pack("<II", NUMBERS, 0)), mat_element(9, np.arange(6.0).tobytes())
    for kind_of_dimensions in (5, 6):
        for kind_of_name in (1, 16):
            shape = mat_element(kind_of_dimensions, struct.pack("<ii", 2, 3))
            matrix = mat_element(14, flags + shape + mat_element(kind_of_name, b"x") + numbers)
            (tmp_path / "a.mat").write_bytes(mat_file(matrix))
            assert np.array_equal(load_array(tmp_path / "a.mat").values, np.arange(6.0).reshape(3, 2).T)

"""Sparse images against their dense form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hepbench.benchmarks.formats.sparse_images import Sparse

SHAPES = arrays.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5)
VALUES = st.one_of(st.just(0.0), st.floats(-100, 100, width=16))
IMAGES = arrays.arrays(np.float32, SHAPES, elements=VALUES)


def all_of(sparse: Sparse) -> np.ndarray:
    return sparse[np.arange(len(sparse))]


@given(IMAGES, st.sampled_from([np.float16, np.float32]))
def test_dense_and_back(dense, dtype):
    sparse = Sparse.of(dense, dtype)
    np.testing.assert_array_equal(all_of(sparse), dense)
    assert (sparse.shape, sparse.ndim, sparse.nbytes) == (dense.shape, dense.ndim, dense.nbytes)
    assert all_of(sparse).dtype == sparse.dtype == np.float32
    assert len(sparse.values) == np.count_nonzero(dense)


@given(IMAGES, st.data())
def test_rows_in_any_order_with_repeats(dense, data):
    rows = np.array(data.draw(st.lists(st.integers(-len(dense), len(dense) - 1))), np.int64)
    np.testing.assert_array_equal(Sparse.of(dense)[rows], dense[rows])


@given(IMAGES, st.data())
def test_any_slice_is_the_slice_of_the_dense_form(dense, data):
    where = data.draw(st.slices(len(dense)))
    part = Sparse.of(dense)[where]
    if isinstance(part, Sparse):
        part = all_of(part)
    np.testing.assert_array_equal(part, dense[where])


@given(IMAGES, st.data())
def test_a_slice_of_a_slice(dense, data):
    first = data.draw(st.slices(len(dense)).filter(lambda s: s.step in (None, 1)))
    second = data.draw(st.slices(max(1, len(dense[first]))).filter(lambda s: s.step in (None, 1)))
    part = Sparse.of(dense)[first][second]
    assert isinstance(part, Sparse)
    np.testing.assert_array_equal(all_of(part), dense[first][second])


@given(IMAGES, st.integers(0, 9))
def test_pixels_in_other_places(dense, seed):
    places = np.random.default_rng(seed).permutation(dense[0].size)
    moved = np.empty_like(dense).reshape(len(dense), -1)
    moved[:, places] = dense.reshape(len(dense), -1)
    sparse = replace(Sparse.of(dense), places=places)
    np.testing.assert_array_equal(all_of(sparse), moved.reshape(dense.shape))
    np.testing.assert_array_equal(all_of(sparse[1:]), moved.reshape(dense.shape)[1:])


@given(IMAGES)
def test_hits_are_the_non_zero_values(dense):
    row, index, values = Sparse.of(dense).hits()
    flat = dense.reshape(len(dense), -1)
    expected = np.nonzero(flat)
    np.testing.assert_array_equal(row, expected[0])
    np.testing.assert_array_equal(index, expected[1])
    np.testing.assert_array_equal(values, flat[expected])


@given(IMAGES, st.data())
def test_rows_by_mask(dense, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(dense), max_size=len(dense))))
    np.testing.assert_array_equal(Sparse.of(dense)[mask], dense[mask])


@pytest.mark.parametrize("rows", [[5], [-6], [0, 9]])
def test_a_row_that_is_not_there_is_refused(rows):
    sparse = Sparse.of(np.ones((5, 2, 2), np.float32))
    with pytest.raises(IndexError):
        sparse[np.array(rows)]


def test_a_large_event_is_indexed_beyond_16_bits():
    dense = np.zeros((2, 300, 300), np.float32)
    dense[1, 299, 299] = 3
    sparse = Sparse.of(dense)
    np.testing.assert_array_equal(all_of(sparse), dense)


def test_of_memory_maps_a_slice_copies_no_hits(tmp_path):
    rng = np.random.default_rng(0)
    dense = rng.random((50, 8, 8, 3), np.float32) * (rng.random((50, 8, 8, 3)) < 0.1)
    sparse = Sparse.of(dense)
    for name in ("index", "values"):
        np.save(tmp_path / f"{name}.npy", getattr(sparse, name))
    index, values = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("index", "values"))
    mapped = Sparse(sparse.offsets, index, values, sparse.event)
    part = mapped[10:20]
    assert np.shares_memory(part.values, values)
    assert np.shares_memory(part.index, index)
    np.testing.assert_array_equal(all_of(part), dense[10:20])
    rows = rng.permutation(50)[:7]
    np.testing.assert_array_equal(mapped[rows], dense[rows])

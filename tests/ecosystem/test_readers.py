"""Libraries that read arrays as NumPy's, by `__array__` or DLPack: pandas, matplotlib, PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from tests.ecosystem.agreement import samples

X = samples(3, 4).astype(np.float32)


def test_pandas() -> None:
    pd = pytest.importorskip("pandas", reason="the extra `ecosystem` brings pandas")
    x = wnp.asarray(X)
    frame = pd.DataFrame(x, columns=list("abcd"))
    np.testing.assert_array_equal(frame.to_numpy(), X)
    assert pd.DataFrame({"a": x[0], "b": x[1]}).dtypes.tolist() == [np.float32] * 2
    series = pd.Series(x[0], index=list("wxyz"))
    np.testing.assert_allclose((series + x[1]).to_numpy(), X[0] + X[1])
    np.testing.assert_allclose((x[1] * series).to_numpy(), X[0] * X[1])
    assert type(x[1] * series) is pd.Series
    assert frame.assign(e=x[:, 0]).e.tolist() == X[:, 0].tolist()
    assert pd.cut(x[0], 2).codes.tolist() == pd.cut(X[0], 2).codes.tolist()
    groups = frame.groupby(np.asarray(x[:, 0] > 0)).mean()
    for data in (frame, groups, series, pd.Index(X[0])):
        np.testing.assert_array_equal(wnp.asarray(data), data.to_numpy())
    chosen = np.where(wnp.asarray(x[0] > 0), series, 0)  # NumPy's function, given to Weft
    assert type(chosen) is weft.Array
    np.testing.assert_array_equal(chosen, np.where(X[0] > 0, X[0], 0))
    mask = np.asarray(x[:, 0] > 0)  # pandas takes masks of its own and of NumPy
    assert len(frame[mask]) == len(frame.loc[mask]) == int(mask.sum())
    jitted = weft.jit(lambda a: a.sum(0))
    np.testing.assert_allclose(jitted(wnp.asarray(frame)), X.sum(0), rtol=1e-6)


def test_matplotlib() -> None:
    pytest.importorskip("matplotlib", reason="the extra `ecosystem` brings matplotlib")
    from matplotlib import pyplot

    x = wnp.asarray(X)
    figure, axes = pyplot.subplots()
    (line,) = axes.plot(x[0], x[1])
    np.testing.assert_array_equal(line.get_xydata(), X[:2].T)
    np.testing.assert_array_equal(axes.imshow(x).get_array(), X)
    np.testing.assert_array_equal(axes.scatter(x[0], x[1], c=x[2]).get_offsets(), X[:2].T)
    np.testing.assert_array_equal(axes.hist(x.ravel(), 5)[0], np.histogram(X, 5)[0])
    heights = [bar.get_height() for bar in axes.bar(x[0], x[1])]
    np.testing.assert_array_equal(heights, X[1])
    axes.contourf(x)
    axes.pcolormesh(x)
    axes.fill_between(x[0], x[1], x[2])
    axes.errorbar(x[0], x[1], yerr=abs(x[2]))
    axes.quiver(x, x)
    axes.boxplot(x)
    axes.set_xlim(x[0, 0], x[0, 0] + 1)
    figure.canvas.draw()
    pyplot.close(figure)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
def test_torch(dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="the extra `bench` brings PyTorch")
    data = (X * 9).astype(dtype)
    there = torch.from_dlpack(wnp.asarray(data))
    assert there.shape == data.shape and str(there.dtype).endswith(dtype)
    np.testing.assert_array_equal(there.numpy(), data)
    back = wnp.from_dlpack(there)
    assert back.dtype == data.dtype
    np.testing.assert_array_equal(back, data)
    # Both share memory: PyTorch is told that nobody may write, and cannot hold its tensors to it.
    assert torch.from_dlpack(back).data_ptr() == there.data_ptr()
    assert torch.from_dlpack(back, copy=True).data_ptr() != there.data_ptr()

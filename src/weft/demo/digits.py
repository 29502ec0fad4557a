"""A classifier of handwritten digits: a perceptron with two hidden layers, trained by Adam.

The same program twice. In Weft the gradient comes from `weft.value_and_grad` and the whole step is
compiled by `weft.jit`; in NumPy the gradient is written by hand and every operation is a call.
Both start from the same parameters and see the same batches.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

import weft
import weft.numpy as wnp
from weft.demo.stage import Stage, compiled, median_seconds, speed, timed
from weft.demo.svg import COLOURS, Chart

WIDTHS = (64, 256, 128, 10)
BATCH = 128
EPOCHS = 60
RATE = 2e-3
DECAY = (0.9, 0.999)  # of Adam's two running means
LABELS = 10
SMOOTHING = 0.1  # probability that the targets spread over all digits (Szegedy et al., 2016)


class Split(NamedTuple):
    """Images as float32 rows of 64 pixels in [0, 1], and the digit that each one shows."""

    images: np.ndarray
    labels: np.ndarray


def load() -> tuple[Split, Split]:
    """Return the training and the test set: a fixed, stratified split of four to one."""
    text = gzip.decompress(files("weft.demo").joinpath("digits.csv.gz").read_bytes()).decode()
    table = np.array([line.split(",") for line in text.splitlines()], np.int32)
    images, labels = (table[:, :-1] / 16).astype(np.float32), table[:, -1]
    rng, train, test = np.random.default_rng(0), [], []
    for digit in range(LABELS):
        rows = rng.permutation(np.flatnonzero(labels == digit))
        held_out = round(len(rows) / 5)
        test.append(rows[:held_out])
        train.append(rows[held_out:])

    def take(parts: list[np.ndarray]) -> Split:
        rows = np.concatenate(parts)
        return Split(images[rows], labels[rows])

    return take(train), take(test)


def batches(data: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the batches of all epochs in a fixed random order: images and target probabilities."""
    rng = np.random.default_rng(1)
    targets = (1 - SMOOTHING) * np.eye(LABELS, dtype=np.float32) + SMOOTHING / LABELS
    for _ in range(EPOCHS):
        order = rng.permutation(len(data.labels))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            yield data.images[rows], targets[data.labels[rows]]


def steps(data: Split) -> int:
    """Return the number of batches that `batches` yields."""
    return EPOCHS * (len(data.labels) // BATCH)


class Layer(NamedTuple):
    """Weights of shape (inputs, outputs) and biases of shape (outputs,)."""

    weights: Any
    biases: Any


# In Weft


class State(NamedTuple):
    """What a training step updates: the layers, and what the optimizer remembers."""

    layers: list[Layer]
    memory: Any


#: Adam (Kingma and Ba, 2015) with a rate that falls as 1/√step.
OPTIMIZER = weft.optim.adam(lambda done: RATE / wnp.sqrt(1 + (done + 1) / 100), *DECAY)


def initial_state(seed: int = 0) -> State:
    """Return layers drawn with He's scaling, and the optimizer's state before the first step."""
    keys = weft.random.split(weft.random.key(seed), len(WIDTHS) - 1)
    layers = [
        Layer(weft.random.normal(key, (rows, columns)) * (2 / rows) ** 0.5, wnp.zeros(columns))
        for key, rows, columns in zip(keys, WIDTHS[:-1], WIDTHS[1:], strict=True)
    ]
    return State(layers, OPTIMIZER.init(layers))


def scores(layers: list[Layer], images: Any) -> Any:
    """Return the unnormalised log-probability of each digit, of shape (images, 10)."""
    *hidden, last = layers
    x = images
    for layer in hidden:
        x = weft.nn.relu(x @ layer.weights + layer.biases)
    return x @ last.weights + last.biases


def loss(layers: list[Layer], images: Any, targets: Any) -> Any:
    """Return the mean cross-entropy."""
    return -wnp.mean(wnp.sum(targets * weft.nn.log_softmax(scores(layers, images)), axis=1))


@weft.jit
def train_step(state: State, images: Any, targets: Any) -> tuple[State, Any]:
    """One step of the optimizer; also the loss before it."""
    value, gradients = weft.value_and_grad(loss)(state.layers, images, targets)
    updates, memory = OPTIMIZER.update(gradients, state.memory)
    return State(weft.optim.apply_updates(state.layers, updates), memory), value


@weft.jit
def accuracy(layers: list[Layer], images: Any, labels: Any) -> Any:
    """Return the share of images whose digit gets the highest score."""
    return wnp.mean(wnp.argmax(scores(layers, images), axis=1) == labels)


# In NumPy


class NumpyState(NamedTuple):
    """The number of steps done, the layers, and Adam's running means over their gradients."""

    step: int
    layers: list[Layer]
    first: list[Layer]
    second: list[Layer]


def numpy_state(state: State) -> NumpyState:
    """Return the layers of `state`, which has seen no step, in NumPy arrays, and means of zero."""
    layers = [Layer(np.array(layer.weights), np.array(layer.biases)) for layer in state.layers]

    def zeros() -> list[Layer]:
        return [Layer(np.zeros_like(w), np.zeros_like(b)) for w, b in layers]

    return NumpyState(0, layers, zeros(), zeros())


def numpy_gradients(
    layers: list[Layer], images: np.ndarray, targets: np.ndarray
) -> tuple[float, list[Layer]]:
    """Return the loss and its gradient: a forward pass, then the chain rule by hand."""
    (w1, b1), (w2, b2), (w3, b3) = layers
    h1 = np.maximum(images @ w1 + b1, 0)
    h2 = np.maximum(h1 @ w2 + b2, 0)
    z = h2 @ w3 + b3
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    value = -float(np.mean(np.sum(targets * (z - np.log(total)), axis=1)))

    dz = (e / total - targets) / np.float32(len(images))
    dh2 = (dz @ w3.T) * (h2 > 0)
    dh1 = (dh2 @ w2.T) * (h1 > 0)
    return value, [
        Layer(images.T @ dh1, dh1.sum(axis=0)),
        Layer(h1.T @ dh2, dh2.sum(axis=0)),
        Layer(h2.T @ dz, dz.sum(axis=0)),
    ]


def numpy_train_step(
    state: NumpyState, images: np.ndarray, targets: np.ndarray
) -> tuple[NumpyState, float]:
    """The same step in NumPy, changing the arrays of `state` in place."""
    value, gradients = numpy_gradients(state.layers, images, targets)
    decay1, decay2 = DECAY
    step = state.step + 1
    rate = RATE / (1 + step / 100) ** 0.5
    for group in zip(state.layers, gradients, state.first, state.second, strict=True):
        for p, g, m, v in zip(*group, strict=True):
            m += (1 - decay1) * (g - m)
            v += (1 - decay2) * (g * g - v)
            p -= rate * (m / (1 - decay1**step)) / (np.sqrt(v / (1 - decay2**step)) + 1e-8)
    return state._replace(step=step), value


# Beside each other


def show(stage: Stage) -> None:
    """Train the classifier twice and compare accuracy and speed."""
    train, test = load()
    widths = "-".join(map(str, WIDTHS))
    stage.say(
        f"[bold]Handwritten digits[/bold]: a {widths} perceptron, Adam, batches of "
        f"{BATCH}; {len(train.labels):,} images to learn from, {len(test.labels)} to test"
    )
    state = initial_state()
    numpy_side = numpy_state(state)
    batch = next(batches(train))
    _, first_call = timed(train_step, state, *batch)

    with stage.progress("Weft", steps(train)) as advance:
        for images, targets in batches(train):
            state, loss = train_step(state, images, targets)
            advance(1, f"loss {float(loss):.3f}")
    # Before NumPy's turn: the threads of its BLAS keep a core busy for a while after each product.
    per_step = median_seconds(train_step, state, *batch)
    with stage.progress("NumPy", steps(train)) as advance:
        for images, targets in batches(train):
            numpy_side, loss = numpy_train_step(numpy_side, images, targets)
            advance(1, f"loss {loss:.3f}")

    numpy_per_step = median_seconds(numpy_train_step, numpy_side, *batch)

    def share(state: State | NumpyState) -> str:
        return f"{float(accuracy(state.layers, *test)):.1%}"

    table = stage.table("", "test accuracy", "time per step", "")
    table.add_row("Weft", share(state), *speed(per_step, numpy_per_step))
    table.add_row("NumPy", share(numpy_side), *speed(numpy_per_step, numpy_per_step))
    stage.console.print(table)
    if stage.paints:
        draw(stage, test, np.asarray(weft.nn.softmax(scores(state.layers, test.images))))
    stats = train_step.trace(state, *batch).executable.stats
    stage.say(compiled("train_step", stats, first_call - per_step))


def draw(stage: Stage, test: Split, probabilities: np.ndarray) -> None:
    """Draw the images of the test set that the network was least sure of, and what it thought."""
    columns, rows, cell, height, side = 7, 4, 138, 98, 76
    chart = Chart(40 + columns * cell, 92 + rows * height)
    chart.text(30, 36, "What it was least sure of", 16, font_weight="bold")
    unsure = np.argsort(probabilities.max(axis=1), kind="stable")[: columns * rows]
    for place, n in enumerate(unsure):
        x, y = 30 + place % columns * cell, 56 + place // columns * height
        grey = 255 - (test.images[n].reshape(8, 8, 1) * 215).astype(np.uint8)
        chart.image(x, y, side, np.repeat(grey, 3, axis=2))
        for rank, digit in enumerate(np.argsort(-probabilities[n])[:3]):
            chance, line = float(probabilities[n, digit]), y + 18 + 24 * rank
            weight, colour = ("bold", 2) if digit == test.labels[n] else ("normal", 1)
            chart.rectangle(x + side + 18, line - 9, 40 * chance, 11, COLOURS[colour])
            chart.text(x + side + 6, line, f"{digit}", 13, font_weight=weight)
    legend = "bars: probabilities of its three best guesses; green and bold: right"
    chart.text(30, 76 + rows * height, legend, 12)
    chart.save(stage.picture)
    stage.show_picture("What it was least sure of")

"""A language model of Shakespeare's sonnets: a small transformer, one character after the other.

Attention, layer norm and the loss are written from their definitions for one sequence; `weft.vmap`
makes a batch of it, `weft.value_and_grad` the gradient, `weft.jit` one program of the whole step.
Thirteen sonnets are learned; the eighteenth is held out, and the picture shows each of its
characters the redder the more it surprised the model.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

import weft
import weft.numpy as wnp
from weft import lax
from weft.demo.stage import Stage, compiled, median_seconds, timed
from weft.demo.svg import COLOURS, INK, Chart, Panel

WIDTH, HEADS, LAYERS = 96, 4, 2
CONTEXT = 64  # characters that the model sees
BATCH, STEPS, RATE, DECAY = 16, 500, 3e-3, 0.1
TEMPERATURE = 0.6
WRITTEN = 260  # characters of the sample


class Block(NamedTuple):
    """Weights of a layer: attention, then a perceptron; each after a norm with a scale."""

    scale_attention: Any
    query_key_value: Any  # (WIDTH, 3 * WIDTH)
    out: Any
    scale_perceptron: Any
    up: Any
    down: Any


class Model(NamedTuple):
    """Vectors of characters and of places, the layers, and the scale of the last norm."""

    characters: Any
    places: Any
    blocks: tuple[Block, ...]
    scale: Any


def load() -> tuple[np.ndarray, np.ndarray, str]:
    """Return the text to learn and the text held out, as numbers, and the alphabet."""
    text = files("weft.demo").joinpath("sonnets.txt").read_text(encoding="utf-8")
    alphabet = "".join(sorted(set(text)))
    codes = np.array([alphabet.index(character) for character in text], np.int32)
    last = text.rindex("\n\n") + 2
    return codes[:last], codes[last:], alphabet


def initial(key: Any, alphabet: int) -> Model:
    """Return weights drawn so that values keep their size from layer to layer."""
    keys = iter(weft.random.split(key, 2 + 4 * LAYERS))

    def drawn(*shape: int, scale: float = 1.0) -> Any:
        return weft.random.normal(next(keys), shape) * (scale / shape[0] ** 0.5)

    ones, small = wnp.ones(WIDTH), (2 * LAYERS) ** -0.5
    return Model(
        drawn(alphabet, WIDTH, scale=alphabet**0.5 * 0.1),
        drawn(CONTEXT, WIDTH, scale=CONTEXT**0.5 * 0.1),
        tuple(
            Block(
                ones,
                drawn(WIDTH, 3 * WIDTH),
                drawn(WIDTH, WIDTH, scale=small),
                ones,
                drawn(WIDTH, 4 * WIDTH),
                drawn(4 * WIDTH, WIDTH, scale=small),
            )
            for _ in range(LAYERS)
        ),
        ones,
    )


def normalized(x: Any, scale: Any) -> Any:
    """Layer norm without an offset."""
    apart = x - x.mean(axis=-1, keepdims=True)
    return scale * apart / wnp.sqrt((apart * apart).mean(axis=-1, keepdims=True) + 1e-5)


def attention(x: Any, block: Block) -> Any:
    """Each place looks at itself and at those before it."""
    length = len(x)
    q, k, v = (x @ block.query_key_value).reshape(length, 3, HEADS, -1).transpose(1, 2, 0, 3)
    scores = wnp.einsum("hid,hjd->hij", q, k) / q.shape[-1] ** 0.5
    place = wnp.arange(length)
    scores = wnp.where(place[:, None] >= place, scores, -wnp.inf)
    weights = wnp.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = wnp.einsum("hij,hjd->ihd", weights / weights.sum(axis=-1, keepdims=True), v)
    return mixed.reshape(length, -1) @ block.out


def scores(model: Model, text: Any) -> Any:
    """The unnormalised log-probabilities of what follows each character: (length, alphabet)."""
    x = model.characters[text] + model.places[: len(text)]
    for block in model.blocks:
        x = x + attention(normalized(x, block.scale_attention), block)
        hidden = weft.nn.gelu(normalized(x, block.scale_perceptron) @ block.up)
        x = x + hidden @ block.down
    return normalized(x, model.scale) @ model.characters.T


def surprise(model: Model, text: Any) -> Any:
    """How many bits each character but the first was away from certain: (length - 1,)."""
    logs = weft.nn.log_softmax(scores(model, text[:-1]))
    return -logs[wnp.arange(len(text) - 1), text[1:]] / np.log(2)


def loss(model: Model, texts: Any) -> Any:
    """The mean surprise in a batch of texts."""
    return wnp.mean(weft.vmap(surprise, (None, 0))(model, texts))


#: Adam with decoupled decay (Loshchilov and Hutter, 2019) and a rate that falls to nothing.
OPTIMIZER = weft.optim.adamw(
    lambda done: RATE * wnp.cos(wnp.minimum(done / STEPS, 1) * (np.pi / 2)), weight_decay=DECAY
)


@weft.jit
def train_step(model: Model, memory: Any, key: Any, text: Any) -> tuple[Model, Any, Any]:
    """One step on pieces of the text from random places; also the loss before it."""
    starts = weft.random.randint(key, (BATCH,), 0, len(text) - CONTEXT - 1)
    texts = text[starts[:, None] + wnp.arange(CONTEXT + 1)]
    value, slope = weft.value_and_grad(loss)(model, texts)
    updates, memory = OPTIMIZER.update(slope, memory, model)
    return weft.optim.apply_updates(model, updates), memory, value


@weft.jit
def write(model: Model, key: Any, start: Any) -> Any:
    """Continue `start`, of `CONTEXT` characters, by `WRITTEN` more, drawn one by one."""

    def one(seen: Any, key: Any) -> Any:
        likely = scores(model, seen)[-1] / TEMPERATURE
        drawn = weft.random.categorical(key, likely).astype(seen.dtype)
        return wnp.concatenate([seen[1:], drawn[None]]), drawn

    return lax.scan(one, start, weft.random.split(key, WRITTEN))[1]


@weft.jit
def read(model: Model, text: Any) -> Any:
    """The surprise at each character of a text but the first, with as much context as there is."""
    places = wnp.arange(CONTEXT + 1)
    ends = wnp.arange(CONTEXT, len(text))
    first = surprise(model, text[: CONTEXT + 1])
    pieces = text[ends[1:, None] - CONTEXT + places]
    return wnp.concatenate([first, weft.vmap(surprise, (None, 0))(model, pieces)[:, -1]])


def show(stage: Stage) -> None:
    """Train, write a few lines, and draw what surprised the model in a sonnet it has not seen."""
    text, unseen, alphabet = load()
    model = initial(weft.random.key(0), len(alphabet))
    weights = sum(leaf.size for leaf in weft.tree.leaves(model))
    stage.say(
        f"[bold]Sonnets[/bold]: a transformer of {weights:,} weights reads {len(text):,} "
        f"characters of Shakespeare"
    )
    memory, text_ = OPTIMIZER.init(model), wnp.asarray(text)
    keys = weft.random.split(weft.random.key(1), STEPS)
    _, first_call = timed(train_step, model, memory, keys[0], text_)
    losses = []
    with stage.progress("Weft", STEPS) as advance:
        for key in keys:
            model, memory, value = train_step(model, memory, key, text_)
            losses.append(float(value))
            advance(1, f"{losses[-1]:.2f} bits a character")
    per_step = median_seconds(train_step, model, memory, keys[0], text_, samples=5)
    bits = np.asarray(read(model, wnp.asarray(unseen)))
    known = np.asarray(read(model, text_[: len(unseen)]))
    table = stage.table("", "bits a character")
    table.add_row("guessing", f"{np.log2(len(alphabet)):.2f}")
    table.add_row("a sonnet it has learned", f"{known.mean():.2f}")
    table.add_row("a sonnet it has not seen", f"{bits.mean():.2f}")
    stage.console.print(table)
    stage.say(f"A step takes {per_step * 1e3:.1f} ms.")
    stats = train_step.trace(model, memory, keys[0], text_).executable.stats
    stage.say(compiled("train_step", stats, first_call - per_step))
    written = np.asarray(write(model, weft.random.key(4), wnp.asarray(unseen[:CONTEXT])))
    said = "".join(alphabet[code] for code in np.concatenate([unseen[:CONTEXT], written]))
    stage.say("It goes on from the first lines of the unseen one:")
    stage.console.print("  " + said.replace("\n", "\n  "), style="italic", highlight=False)
    draw(stage, losses, "".join(alphabet[code] for code in unseen), bits)
    stage.show_picture("What surprised it")


def draw(stage: Stage, losses: list[float], text: str, bits: np.ndarray) -> None:
    """Draw the unseen text on a ground of surprise, and how training went."""
    chart, column, row = Chart(1000, 470), 11.0, 24.0
    chart.text(40, 36, "A sonnet that the model has not seen", 15, font_weight="bold")
    x, y = 40.0, 66.0
    for place, character in enumerate(text):
        if character == "\n":
            x, y = 40.0, y + row
            continue
        if place:
            red = min(bits[place - 1] / 8, 1.0)
            fill = f"rgb({251 - 20 * red:.0f},{250 - 150 * red:.0f},{247 - 180 * red:.0f})"
            chart.rectangle(x, y - 17, column, row - 1, fill)
        chart.text(x + column / 2, y, character, 16, "middle", font_family="monospace")
        x += column
    chart.text(40, 430, "certain", 12)
    for step in range(60):
        red = step / 59
        fill = f"rgb({251 - 20 * red:.0f},{250 - 150 * red:.0f},{247 - 180 * red:.0f})"
        chart.rectangle(90 + 2 * step, 420, 2.2, 12, fill)
    chart.text(218, 430, "8 bits of surprise", 12)
    panel = Panel(chart, (680, 70, 290, 300), (0, len(losses)), (0, 6.2), "Bits a character")
    panel.ticks((0, len(losses) // 2, len(losses)), (0, 2, 4, 6))
    panel.line(np.arange(len(losses)), np.minimum(losses, panel.y[1]), COLOURS[0], 1.6)
    panel.line((0, len(losses)), (bits.mean(), bits.mean()), COLOURS[1], 1.4)
    level = float(panel.place(0, bits.mean())[1])
    chart.text(965, level - 6, "unseen, at the end", 12, "end", fill=COLOURS[1])
    chart.text(825, 405, "steps", 12, "middle", fill=INK)
    chart.save(stage.picture)

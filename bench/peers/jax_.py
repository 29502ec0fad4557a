"""JAX implementations, which any package with a JAX-compatible API can run as well.

`JaxPeer.select` binds the module-level names ``jax``, ``jnp`` and ``lax`` to the chosen package.
Submodules and attributes are resolved when they are first used, so that a package that lacks some
of them fails only on the workloads that need them.
"""

import functools
import importlib
from types import ModuleType

import numpy as np

from peers import Peer


class Package:
    """A package whose submodules are imported on first use."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str):
        path = f"{self._name}.{attribute}"
        module = importlib.import_module(self._name)
        try:
            value = getattr(module, attribute)
        except AttributeError:
            try:
                value = importlib.import_module(path)
            except ModuleNotFoundError as error:
                if error.name != path:
                    raise
                raise AttributeError(f"{self._name} has no attribute {attribute!r}") from None
        if isinstance(value, ModuleType):
            value = Package(path)
        setattr(self, attribute, value)
        return value


jax = jnp = lax = None  # bound by JaxPeer.select


class JaxPeer(Peer):
    package = "jax"

    def select(self, variant: str):
        global jax, jnp, lax
        jax, jnp, lax = Package(variant), Package(f"{variant}.numpy"), Package(f"{variant}.lax")
        importlib.import_module(variant)
        self.package = variant

    def prepare(self, workload):
        if workload.precision == "f64" and self.package == "jax":
            jax.config.update("jax_enable_x64", True)  # JAX truncates to 32 bits otherwise
        return super().prepare(workload)

    def jit(self, function):
        return jax.jit(function)

    def array(self, x: np.ndarray, precision: str):
        return jnp.asarray(x, dtype=jnp.bfloat16) if precision == "bf16" else jnp.asarray(x)

    def wait(self, outputs) -> None:
        if isinstance(outputs, (tuple, list)):
            for item in outputs:
                self.wait(item)
        else:
            outputs.block_until_ready()


peer = JaxPeer()


@peer.function("mm512", "mm1024", "mm2048", "matvec4096", "mm1024_f64", "mm1024_bf16")
def matmul(a, b):
    return a @ b


@peer.function("chain20_10M")
def chain20(x):
    y = x * 1.5 + 0.3
    z = jnp.exp(-y * y)
    t = jnp.tanh(y)
    s = jax.nn.sigmoid(x)
    a = z * t + s
    b = jnp.sqrt(jnp.abs(a) + 1e-3)
    c = jnp.maximum(b, 0.1 * x)
    d = c - 0.5 * z
    e = d * d + t
    return e / (1 + jnp.abs(s))


@peer.function("softmax_4096")
def softmax(x):
    return jax.nn.softmax(x, axis=-1)


@peer.function("layernorm_8192x1024")
def layer_norm(x, scale, shift):
    d = x - x.mean(-1, keepdims=True)
    variance = (d * d).mean(-1, keepdims=True)
    return d * lax.rsqrt(variance + 1e-5) * scale + shift


@peer.function("variance_4096")
def variance(x):
    return x.var(-1)


@peer.function("cumsum_1000x10000")
def cumsum(x):
    return jnp.cumsum(x, axis=-1)


@peer.function("sort_1M")
def sort(x):
    return jnp.sort(x)


@peer.function("sum_50M")
def total(x):
    return x.sum()


@peer.function("transpose_4096")
def transpose(x):
    return x.T


def causal_mask(scores):
    return jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -jnp.inf)


@peer.function("attn_2048")
def attention(q, k, v):
    return jax.nn.softmax(q @ k.swapaxes(-1, -2) * 0.125, axis=-1) @ v


@peer.function("attn_causal_2048")
def causal_attention(q, k, v):
    return jax.nn.softmax(causal_mask(q @ k.swapaxes(-1, -2) * 0.125), axis=-1) @ v


@peer.function("conv2d_64_56")
def conv2d(x, w):
    layout = ("NCHW", "OIHW", "NCHW")
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=layout)


@peer.function("jacobi50_4096")
def jacobi(x):
    def sweep(_, a):
        neighbours = a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:]
        return a.at[1:-1, 1:-1].set(0.25 * neighbours)

    return lax.fori_loop(0, 50, sweep, x)


@peer.function("fluids10_512")
def fluids(u, v):
    size, dt, roll = len(u), 0.5, jnp.roll
    grid = jnp.arange(size, dtype=u.dtype)
    rows, columns = jnp.meshgrid(grid, grid, indexing="ij")

    def advect(f, u, v):
        y, x = rows - dt * v, columns - dt * u
        y0, x0 = jnp.floor(y), jnp.floor(x)
        fy, fx = y - y0, x - x0
        y0, x0 = y0.astype(jnp.int32) % size, x0.astype(jnp.int32) % size
        y1, x1 = (y0 + 1) % size, (x0 + 1) % size
        upper = (1 - fx) * f[y0, x0] + fx * f[y0, x1]
        lower = (1 - fx) * f[y1, x0] + fx * f[y1, x1]
        return (1 - fy) * upper + fy * lower

    def step(_, state):
        u, v = state
        u, v = advect(u, u, v), advect(v, u, v)
        divergence = 0.5 * (roll(u, -1, 1) - roll(u, 1, 1) + roll(v, -1, 0) - roll(v, 1, 0))

        def relax(_, p):
            neighbours = roll(p, 1, 0) + roll(p, -1, 0) + roll(p, 1, 1) + roll(p, -1, 1)
            return 0.25 * (neighbours - divergence)

        p = lax.fori_loop(0, 20, relax, jnp.zeros_like(divergence))
        u = u - 0.5 * (roll(p, -1, 1) - roll(p, 1, 1))
        v = v - 0.5 * (roll(p, -1, 0) - roll(p, 1, 0))
        return u, v

    return lax.fori_loop(0, 10, step, (u, v))


@peer.program("mlp_train")
def mlp_train(*inputs):
    *parameters, x, labels = (jnp.asarray(t) for t in inputs)
    first = [jnp.zeros_like(p) for p in parameters]
    second = [jnp.zeros_like(p) for p in parameters]

    def loss_function(parameters, x, labels):
        w1, b1, w2, b2, w3, b3 = parameters
        h = jax.nn.relu(x @ w1 + b1)
        h = jax.nn.relu(h @ w2 + b2)
        log_probabilities = jax.nn.log_softmax(h @ w3 + b3)
        return -jnp.take_along_axis(log_probabilities, labels[:, None], 1).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2, 3))
    def train_step(parameters, first, second, step, x, labels):
        loss, gradients = jax.value_and_grad(loss_function)(parameters, x, labels)
        step = step + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)

        def update(p, m, v):
            m, v = m / (1 - 0.9**step), v / (1 - 0.999**step)
            return p - 1e-3 * m / (jnp.sqrt(v) + 1e-8)

        return jax.tree.map(update, parameters, first, second), first, second, step, loss

    state = (parameters, first, second, jnp.float32(0))

    def run():
        nonlocal state
        *state, loss = train_step(*state, x, labels)
        peer.wait(state)
        return loss

    return run


def gelu(x):
    return jax.nn.gelu(x, approximate=True)


def split_heads(x, heads=12):
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)


def merge_heads(x):
    batch, heads, length, width = x.shape
    return x.transpose(0, 2, 1, 3).reshape(batch, length, heads * width)


@peer.function("gpt_fwd")
def gpt_block(x, g1, b1, wqkv, bqkv, wo, bo, g2, b2, w1, c1, w2, c2):
    qkv = layer_norm(x, g1, b1) @ wqkv + bqkv
    q, k, v = (split_heads(t) for t in jnp.split(qkv, 3, axis=-1))
    x = x + merge_heads(causal_attention(q, k, v)) @ wo + bo
    return x + gelu(layer_norm(x, g2, b2) @ w1 + c1) @ w2 + c2


@peer.function("gpt_fwdbwd")
def gpt_block_gradients(*arguments):
    def loss_function(*arguments):
        return (gpt_block(*arguments) ** 2).mean()

    return jax.value_and_grad(loss_function, argnums=tuple(range(13)))(*arguments)


@peer.program("decode_12L")
def decode(x, *inputs):
    *weights, keys, values = inputs
    layers = [[jnp.asarray(w[i]) for w in weights] for i in range(12)]
    caches = [[jnp.asarray(t[i]) for i in range(12)] for t in (keys, values)]
    x = jnp.asarray(x)

    @functools.partial(jax.jit, donate_argnums=(2, 3))
    def step(x, layers, keys, values, position):
        new_keys, new_values = [], []
        for (g1, b1, wqkv, wo, g2, b2, w1, w2), k_cache, v_cache in zip(
            layers, keys, values, strict=True
        ):
            qkv = layer_norm(x, g1, b1) @ wqkv
            q, k, v = (t.reshape(12, 64) for t in jnp.split(qkv[0], 3))
            k_cache = k_cache.at[:, position].set(k)
            v_cache = v_cache.at[:, position].set(v)
            new_keys.append(k_cache)
            new_values.append(v_cache)
            scores = jnp.einsum("hd,htd->ht", q, k_cache) * 0.125
            attended = jnp.einsum("ht,htd->hd", jax.nn.softmax(scores, axis=-1), v_cache)
            x = x + attended.reshape(1, -1) @ wo
            x = x + gelu(layer_norm(x, g2, b2) @ w1) @ w2
        return x, new_keys, new_values

    def run():
        out, *caches[:] = step(x, layers, *caches, 255)
        return out

    return run


@peer.function("rmsnorm_linear")
def rms_norm_linear(x, scale, w):
    return (x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6) * scale) @ w


@peer.function("gatedmlp")
def gated_mlp(x, w_gate, w_up, w_down):
    return (jax.nn.silu(x @ w_gate) * (x @ w_up)) @ w_down


@peer.function("logreg100_100kx50")
def logistic_regression(x, y, w):
    def step(_, w):
        return w - 0.5 * (x.T @ (jax.nn.sigmoid(x @ w) - y)) / len(y)

    return lax.fori_loop(0, 100, step, w)


@peer.function("hmc1000")
def hamiltonian_monte_carlo(x, y, q, momenta, log_uniforms):
    eps = 0.05

    def potential(q):
        z = x @ q
        return (jnp.logaddexp(0, z) - y * z).sum() + 0.5 * (q * q).sum()

    gradient = jax.grad(potential)

    def leap(_, state):
        q, p = state
        q = q + eps * p
        return q, p - eps * gradient(q)

    def sample(state, noise):
        (q, energy), (p0, log_uniform) = state, noise
        proposal, p = lax.fori_loop(0, 10, leap, (q, p0 - 0.5 * eps * gradient(q)))
        p = p + 0.5 * eps * gradient(proposal)
        new_energy = potential(proposal)
        accept = log_uniform < energy + 0.5 * (p0 @ p0) - new_energy - 0.5 * (p @ p)
        q, energy = jnp.where(accept, proposal, q), jnp.where(accept, new_energy, energy)
        return (q, energy), q

    return lax.scan(sample, (q, potential(q)), (momenta, log_uniforms))[1]


@peer.function("add4_jit")
def add(a, b):
    return a + b


@peer.program("eager10_4")
def ten_small_operations(a, b):
    a, b = jnp.asarray(a), jnp.asarray(b)

    def run():
        x = a
        for _ in range(5):
            x = x + b
            x = x * b
        return x

    return run

"""One search over algebra: regions as e-graphs, rewritten by rules and read back by price.

::

    region ─axes, encode→ nodes ─engine (egglog)→ e-graph ─extract→ choice ─decode→ region

What comes back computes the same values in what seems the cheapest way that the rules of
`weft.saturate.rules` reach; `weft.kernels` then decides what is stored and what shares a kernel.
"""

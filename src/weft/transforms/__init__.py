"""Program transformations, composable in any order.

Each works with one rule per primitive: ``jvp`` (forward mode), ``batch`` (vmap), ``transpose``
(linear programs backwards). Reverse mode is forward mode, split into what is known and what is
linear in the tangents (:mod:`.linearize`), with the linear part run backwards
(:mod:`.transpose`).
"""

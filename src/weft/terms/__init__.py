"""Terms: arrays as functions on index spaces, the language between jaxprs and kernels.

- `affine`: index expressions and their bounds; `monoids` and `ops`: what folds and maps apply;
- `term` and `region`: the grammar of terms, and the definitions, loops and branches around them;
- `build`, `print`, `check`, `interpret`: the four faces (`bounds` proves that loads are in range);
- `lower`, `control_flow`, `liveness`: from a jaxpr to a program, without what nobody needs.
"""

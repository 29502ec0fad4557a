"""What is needed: dropping the steps and carries of a program that no output depends on.

Jaxprs come without unused equations, but a loop computes everything its body returns: a scan whose
stacked results are not used, or of which only some are (as after differentiation), would fill
arrays for nobody. A carry is needed if its result is, or if its entry is read by what is needed of
the body.
"""

from __future__ import annotations

from dataclasses import replace

from weft.core.deep import deep
from weft.terms.region import Block, Call, Def, For, If, Program, Scatter, Step, While
from weft.terms.term import Term, Value


def prune(program: Program) -> Program:
    """The same program without what its outputs do not depend on (routine calls stay)."""
    needed = set(program.outputs)
    block = _prune_block(program.block, needed)
    constants = {v: data for v, data in program.constants.items() if v in needed}
    return replace(program, block=block, constants=constants)


def loaded(*terms: Term) -> set[Value]:
    """The values that terms read."""
    found: set[Value] = set()
    return found.union(*(t.loads for t in terms))


@deep
def _prune_block(block: Block, needed: set[Value]) -> Block:
    """The steps that ``needed`` depends on; adds to ``needed`` what they read."""
    kept: list[Step] = []
    for step in reversed(block.steps):
        pruned = _prune_step(step, needed)
        if pruned is not None:
            kept.append(pruned)
    kept.reverse()
    return Block(kept)


def _prune_step(step: Step, needed: set[Value]) -> Step | None:
    if isinstance(step, Def):
        if step.value not in needed:
            return None
        needed |= loaded(*step.terms)
        return step
    if isinstance(step, Scatter):
        if step.value not in needed:
            return None
        needed |= {step.operand} | loaded(*step.terms)
        return step
    if isinstance(step, For | While):
        return _prune_loop(step, needed)
    if isinstance(step, If):
        return _prune_if(step, needed)
    assert isinstance(step, Call)
    needed.update(step.inputs)
    return _prune_call(step, needed)


def _prune_call(step: Call, needed: set[Value]) -> Call:
    """The call without results that nobody needs, if its routine can do without some of them."""
    live = tuple(v in needed for v in step.outputs)
    only = getattr(step.routine, "only", None)
    if only is None or all(live) or not any(live):
        return step
    outputs = tuple(v for v, needs in zip(step.outputs, live, strict=True) if needs)
    return replace(step, routine=only(live), outputs=outputs)


def _prune_loop(step: For | While, needed: set[Value]) -> Step | None:
    live = {c for c in step.carries if c.result in needed}
    if not live and not _calls(Block([step])):
        return None
    while True:
        inside = {c.exit for c in live}
        body = _prune_block(step.body, inside)
        condition = Block()
        if isinstance(step, While):
            inside.add(step.predicate)
            condition = _prune_block(step.condition, inside)
        more = {c for c in step.carries if c.entry in inside}
        if more <= live:
            break
        live |= more
    carries = tuple(c for c in step.carries if c in live)
    needed |= inside | {c.init for c in carries}
    if isinstance(step, For):
        return For(step.length, step.counter, carries, body, step.source)
    return While(condition, step.predicate, carries, body, step.source)


def _prune_if(step: If, needed: set[Value]) -> Step | None:
    live = [k for k, v in enumerate(step.results) if v in needed]
    if not live and not _calls(Block([step])):
        return None
    outputs = tuple(tuple(values[k] for k in live) for values in step.outputs)
    needed.add(step.index)
    blocks = []
    for block, values in zip(step.branches, outputs, strict=True):
        inside = set(values)
        blocks.append(_prune_block(block, inside))
        needed |= inside
    results = tuple(step.results[k] for k in live)
    return replace(step, branches=tuple(blocks), outputs=outputs, results=results)


def _calls(block: Block) -> bool:
    """Whether routines are called anywhere inside."""
    blocks = [block]
    while blocks:
        for step in blocks.pop().steps:
            if isinstance(step, Call):
                return True
            if isinstance(step, If):
                blocks += step.branches
            elif isinstance(step, For | While):
                blocks.append(step.body)
                blocks += [step.condition] if isinstance(step, While) else []
    return False

"""From blocks of terms to a program of launches: regions planned into kernels, values given slots.

Loop carries live in two slots that are swapped at the end of each iteration instead of copied; an
update of an array that nobody reads afterwards happens in place, on the array's own slot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from weft.core.deep import deep
from weft.kernels import program as out
from weft.kernels.ir import Kernel
from weft.kernels.overwrite import is_in_place
from weft.kernels.passes import Pass, one_by_one
from weft.terms import region as terms
from weft.terms.liveness import loaded
from weft.terms.region import Block, Carry, Def, Region, Scatter, Step
from weft.terms.term import Value
from weft.terms.tiles import TileProgram

#: A kernel and the values of its parameters; a scatter's kernel updates its output in place.
Planned = tuple[Kernel, tuple[Value, ...], Scatter | None]
Plan = Callable[[Region], list[Planned]]
#: The kernel of a user's program of tiles, and the values of its parameters.
PlanTiles = Callable[[TileProgram], tuple[Kernel, tuple[Value, ...]]]
#: What of a loop's iterations runs in passes of several, if that is cheaper.
PlanLoop = Callable[[terms.For], Sequence[Pass]]


def assemble(
    program: terms.Program,
    plan: Plan,
    plan_tiles: PlanTiles | None = None,
    plan_loop: PlanLoop | None = None,
) -> out.Program:
    """The launches, loops and copies that compute ``program``: regions are planned by ``plan``,
    the user's kernels (where there are any) by ``plan_tiles``, loops in passes by ``plan_loop``."""
    return _Assembler(program, plan, plan_tiles, plan_loop or (lambda loop: ())).assemble()


def defines(step: Step) -> tuple[Value, ...]:
    """Values that later steps may read because of this one."""
    if isinstance(step, Def | Scatter):
        return (step.value,)
    if isinstance(step, terms.Call):
        return step.outputs
    if isinstance(step, terms.If):
        return step.results
    return tuple(c.result for c in step.carries)


class Reads:
    """What steps read, looked for once for each: in a nest, every level asks for all inside it."""

    def __init__(self) -> None:
        self._known: dict[int, set[Value]] = {}

    def of(self, step: Step) -> set[Value]:
        """Values from elsewhere that a step reads, those read inside its blocks included."""
        if isinstance(step, Def):
            return loaded(*step.terms)
        if isinstance(step, Scatter):
            return {step.operand} | loaded(*step.terms)
        if isinstance(step, terms.Call):
            return set(step.inputs)
        found = self._known.get(id(step))
        if found is None:
            found = self._known[id(step)] = self._of_control(step)
        return found

    def _of_control(self, step: terms.If | terms.For | terms.While) -> set[Value]:
        if isinstance(step, terms.If):
            found = {step.index}
            for block, outputs in zip(step.branches, step.outputs, strict=True):
                found |= self._of_block(block, outputs)
            return found
        found = {c.init for c in step.carries}
        found |= self._of_block(step.body, [c.exit for c in step.carries])
        if isinstance(step, terms.While):
            found |= self._of_block(step.condition, [step.predicate])
        return found

    @deep
    def _of_block(self, block: Block, results: Iterable[Value]) -> set[Value]:
        """What a block and who takes its ``results`` read of what it does not define."""
        read = set(results).union(*(self.of(s) for s in block.steps))
        return read.difference(v for s in block.steps for v in defines(s))


class _Assembler:
    def __init__(
        self,
        program: terms.Program,
        plan: Plan,
        plan_tiles: PlanTiles | None,
        plan_loop: PlanLoop,
    ) -> None:
        self.program = program
        self.plan = plan
        self.plan_tiles = plan_tiles
        self.plan_loop = plan_loop
        self.reads = Reads()
        self.slots: dict[Value, out.Slot] = {}
        self.temporaries: list[out.Slot] = []
        #: When each slot came to be; those before ``inside`` belong to somebody outside of the loop
        #: or branch that is being written, except for the ``entries`` of its carries.
        self.born: dict[out.Slot, int] = {}
        self.inside = 0
        self.entries: set[out.Slot] = set()
        #: Outputs that are copied at the end from what computes them.
        self.pending: dict[Value, out.Slot] = {}

    def assemble(self) -> out.Program:
        program = self.program
        inputs = tuple(self._fixed_slot(v, "input") for v in program.inputs)
        constants = []
        for value, data in program.constants.items():
            slot = self._fixed_slot(value, "constant")
            slot.data = data
            constants.append(slot)
        outputs, copies = self._outputs()
        self.pending = {value: slot for slot, value in reversed(copies)}
        steps = self._block(program.block, set(program.outputs))
        steps += [
            out.Copy(target, self.slots[source])
            for target, source in copies
            if self.slots[source] is not target
        ]
        return out.Program(inputs, outputs, tuple(constants), tuple(self.temporaries), steps)

    def _fixed_slot(self, value: Value, role: str) -> out.Slot:
        slot = out.Slot(value.name, value.shape, value.dtype, role)
        self.slots[value] = slot
        self.born[slot] = -1
        return slot

    def _outputs(self) -> tuple[tuple[out.Slot, ...], list[tuple[out.Slot, Value]]]:
        """Output slots; a value computed at the top level is computed right into its own."""
        steps = self.program.block.steps
        computed = {s.value for s in steps if isinstance(s, Def | Scatter)}
        computed |= {v for s in steps if isinstance(s, terms.Call) for v in s.outputs}
        slots: list[out.Slot] = []
        copies: list[tuple[out.Slot, Value]] = []
        for n, value in enumerate(self.program.outputs):
            if value in computed and value not in self.slots:
                slot = out.Slot(value.name, value.shape, value.dtype, "output")
                self.slots[value] = slot
                self.born[slot] = len(self.born)
            else:
                slot = out.Slot(f"out{n}", value.shape, value.dtype, "output")
                copies.append((slot, value))
            slots.append(slot)
        self._update_in_outputs()
        return tuple(slots), copies

    def _update_in_outputs(self) -> None:
        """Compute what an in-place update starts from right in the output that it ends in."""
        steps = {s.value: s for s in self.program.block.steps if isinstance(s, Def | Scatter)}
        readers = Counter(v for s in self.program.block.steps for v in self.reads.of(s))
        for value in self.program.outputs:
            step = steps.get(value)
            while isinstance(step, Scatter) and is_in_place(step):
                operand = step.operand
                if operand not in steps or operand in self.slots or readers[operand] > 1:
                    break
                self.slots[operand] = self.slots[step.value]
                step = steps[operand]

    def _slot(self, value: Value) -> out.Slot:
        if value not in self.slots:
            slot = out.Slot(value.name, value.shape, value.dtype)
            self.temporaries.append(slot)
            self.slots[value] = slot
            self.born[slot] = len(self.born)
        return self.slots[value]

    # -- blocks ------------------------------------------------------------------------------------

    @deep
    def _block(self, block: Block, wanted: set[Value]) -> list[out.Step]:
        """Steps of ``block``; ``wanted`` are the values needed after it."""
        steps = block.steps
        reads = [self.reads.of(step) for step in steps]
        last_use = {v: n for n, values in enumerate(reads) for v in values}
        last_use.update(dict.fromkeys(wanted, len(steps)))
        result: list[out.Step] = []
        n = 0
        while n < len(steps):
            step = steps[n]
            if isinstance(step, Def | Scatter):
                end = n
                while end < len(steps) and isinstance(steps[end], Def | Scatter):
                    end += 1
                read = set().union(*reads[n:end])
                # Values that steps from here on need, or that are needed afterwards.
                inside = read.union(s.value for s in steps[n:end])  # type: ignore[union-attr]
                needed = {v for v in inside if last_use.get(v, -1) >= end}
                result += self._region(steps[n:end], read, needed)  # type: ignore[arg-type]
                n = end
                continue
            result += self._control(step)
            n += 1
        return result

    def _region(
        self, steps: Sequence[Def | Scatter], reads: set[Value], needed: set[Value]
    ) -> list[out.Step]:
        """Launches of ``steps``, which read ``reads``; ``needed`` are those needed afterwards."""
        defined = {s.value for s in steps}
        outputs = tuple(s.value for s in steps if s.value in needed)
        inputs = tuple(sorted(reads - defined, key=lambda v: v.name))
        planned = self.plan(Region(inputs, tuple(steps), outputs))
        last = {v: n for n, (_, values, _) in enumerate(planned) for v in values}
        for n, (_, _, scatter) in enumerate(planned):
            if scatter is not None:
                last[scatter.operand] = max(last.get(scatter.operand, -1), n)
        result: list[out.Step] = []
        for position, (kernel, values, scatter) in enumerate(planned):
            if scatter is not None:
                operand = scatter.operand
                later = operand in needed or last[operand] > position
                result += self._in_place(scatter, later, operand in values)
            slots = tuple(self._slot(v) for v in values)
            result.append(out.Launch(kernel, slots))
        return result

    def _in_place(self, scatter: Scatter, needed: bool, also_read: bool) -> list[out.Step]:
        """Let the updated array share its operand's memory if nobody else looks, or copy first.

        ``needed`` says that the operand is read later, ``also_read`` that the update reads it.
        """
        operand = self._slot(scatter.operand)
        if self.slots.get(scatter.value) is operand:
            return []
        if scatter.value in self.slots or self._is_fixed(operand) or also_read or needed:
            return [out.Copy(self._slot(scatter.value), operand)]
        self.slots[scatter.value] = operand
        return []

    # -- control flow ------------------------------------------------------------------------------

    def _control(self, step: Step) -> list[out.Step]:
        if isinstance(step, terms.For):
            return self._for(step)
        if isinstance(step, terms.While):
            return self._while(step)
        if isinstance(step, terms.If):
            return self._if(step)
        assert isinstance(step, terms.Call)
        if isinstance(step.routine, TileProgram):
            assert self.plan_tiles is not None, "a program with kernels of the user's"
            kernel, values = self.plan_tiles(step.routine)
            return [out.Launch(kernel, tuple(map(self._slot, values)), step.source)]
        inputs = tuple(self._slot(v) for v in step.inputs)
        outputs = tuple(self._slot(v) for v in step.outputs)
        name = str(step.routine)
        return [out.Routine(name, inputs, outputs, step.params, step.routine)]

    def _enter(self, carries: Sequence[Carry]) -> list[out.Step]:
        """Copies of the initial values into the slots the loop works on."""
        copies: list[out.Step] = []
        for c in carries:
            entry = self._slot(c.entry)
            copies.append(out.Copy(entry, self._slot(c.init)))
            self.slots[c.result] = entry
        return copies

    def _is_fixed(self, slot: out.Slot) -> bool:
        """Whether a scatter must not overwrite ``slot`` in place."""
        return self.born[slot] < self.inside and slot not in self.entries

    @contextmanager
    def _body(self, entries: Iterable[out.Slot] = ()) -> Iterator[None]:
        """What is written inside belongs to a loop with these ``entries``, or to a branch.

        Everything that exists before belongs to somebody outside.
        """
        outer = self.inside, self.entries
        self.inside, self.entries = len(self.born), set(entries)
        try:
            yield
        finally:
            self.inside, self.entries = outer

    def _iteration(self, body: Block, carries: Sequence[Carry], keep: set[Value]) -> list[out.Step]:
        """One iteration: the body, then each carry's new value in the slot named by its entry."""
        entries = {self.slots[c.entry] for c in carries}
        with self._body(entries):
            steps = self._block(body, {c.exit for c in carries} | keep)
        written = {v for s in body.steps for v in defines(s)}
        swaps: list[out.Step] = []
        taken: set[out.Slot] = set()
        for c in carries:
            entry, new = self.slots[c.entry], self._slot(c.exit)
            if new is entry:
                continue
            private = new.role == "temporary" and new not in entries and new not in taken
            if not private or c.exit not in written:
                copy = out.Slot(f"{c.exit.name}_next", c.exit.shape, c.exit.dtype)
                self.temporaries.append(copy)
                steps.append(out.Copy(copy, new))
                new = copy
            taken.add(new)
            swaps.append(out.Swap(entry, new))
        return steps + swaps

    def _for(self, step: terms.For) -> list[out.Step]:
        passes = self.plan_loop(step)
        every = one_by_one(passes)
        if every:
            return self._apart(every, step.carries)
        copies = self._enter(step.carries)
        counter = self._slot(step.counter)
        if passes:
            return [*copies, *(self._pass(p, step.carries, counter) for p in passes)]
        body = self._iteration(step.body, step.carries, set())
        return [*copies, out.For(step.length, counter, body)]

    def _pass(self, found: Pass, carries: Sequence[Carry], counter: out.Slot) -> out.Step:
        """A kernel of several iterations, as often as it runs."""
        launch = out.Launch(found.kernel, tuple(self._slot(v) for v in found.values))
        swaps = [
            out.Swap(self._slot(c.entry), self._slot(c.exit))
            for c in carries
            if c.exit is not c.entry
        ]
        return out.For(found.times, counter, [launch, *swaps])

    def _apart(self, every: Sequence[Pass], carries: Sequence[Carry]) -> list[out.Step]:
        """Passes one after the other: the first reads what the loop starts from."""
        now = {c.entry: self._slot(c.init) for c in carries}
        moving = [c for c in carries if c.exit is not c.entry]
        steps: list[out.Step] = []
        for place, found in enumerate(every, 1):
            last = place == len(every)
            after = {c.exit: self._after(c, last) for c in moving}
            bound = {**now, **after}
            slots = (bound.get(v) or self._slot(v) for v in found.values)
            steps.append(out.Launch(found.kernel, tuple(slots)))
            now.update((c.entry, after[c.exit]) for c in moving)
        self.slots.update((c.result, now[c.entry]) for c in carries)
        return steps

    def _after(self, carry: Carry, last: bool) -> out.Slot:
        """Where a pass leaves what is carried: in an output of the program, if it is one."""
        if last and carry.result in self.pending:
            slot = self.pending[carry.result]
        else:
            slot = out.Slot(carry.result.name, carry.result.shape, carry.result.dtype)
            self.temporaries.append(slot)
        self.born[slot] = len(self.born)
        return slot

    def _while(self, step: terms.While) -> list[out.Step]:
        copies = self._enter(step.carries)
        predicate = self._slot(step.predicate)
        with self._body():
            condition = self._block(step.condition, {step.predicate})
        body = self._iteration(step.body, step.carries, set())
        return [*copies, out.While(condition, predicate, body)]

    def _if(self, step: terms.If) -> list[out.Step]:
        results = [self._slot(v) for v in step.results]
        branches: list[list[out.Step]] = []
        for block, values in zip(step.branches, step.outputs, strict=True):
            with self._body():
                body = self._block(block, set(values))
            body += [
                out.Copy(target, self._slot(v)) for target, v in zip(results, values, strict=True)
            ]
            branches.append(body)
        return [out.If(self._slot(step.index), tuple(branches))]

"""Ctrl-C during native calls. Each case runs in a process of its own."""

from __future__ import annotations

import pytest

# A program that writes 1 to its input's second word, then runs until it is interrupted, or its
# input's first word becomes non-zero.
SETUP = '''
import ctypes, math, os, signal, threading, time
# The background jobs of a shell inherit SIGINT as ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
from weft.runtime.buffer import Buffer
from weft.runtime.cache import compile_cached
from weft.runtime.call_path import ArrayLayout, CallPath
from weft.runtime.executable import NativeProgram

ENDLESS = """
@weft_interrupts = external global i32
define i32 @main(ptr %args, ptr %arena, ptr %pool) nounwind {
entry:
  %stop = load ptr, ptr %args
  %running = getelementptr i64, ptr %stop, i64 1
  %before = load atomic i32, ptr @weft_interrupts monotonic, align 4
  store atomic i64 1, ptr %running seq_cst, align 8
  br label %loop
loop:
  %now = load atomic i32, ptr @weft_interrupts monotonic, align 4
  %hit = icmp ne i32 %now, %before
  br i1 %hit, label %interrupted, label %check
check:
  %s = load atomic i64, ptr %stop seq_cst, align 8
  %done = icmp ne i64 %s, 0
  br i1 %done, label %finished, label %loop
interrupted:
  ret i32 1
finished:
  ret i32 0
}
"""
program = NativeProgram(
    compile_cached(ENDLESS), input_nbytes=[16], output_nbytes=[8], seconds=math.inf, uses_pool=False
)
control = Buffer.from_numpy(np.zeros(2, np.int64))
stop, running = (ctypes.c_int64.from_address(control.ptr + offset) for offset in (0, 8))

def interrupt_when_running(then=None):
    """From another thread: waits for the native loop, sends SIGINT, then calls `then`."""
    def work():
        while not running.value:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)
        if then:
            then()
    threading.Thread(target=work).start()

def finish():
    stop.value = 1

def usable():
    running.value, stop.value = 0, 1
    program([control])
    return running.value == 1
'''

CASES = {
    "a program": """
interrupt_when_running()
try:
    program([control])
    print("finished")
except KeyboardInterrupt:
    print("interrupted")
for _ in range(1000):  # the signal must not be raised a second time
    pass
print(usable())
""",
    "the native call path": """
class Array:
    __slots__ = ("aval", "buffer")
aval = object()
x = object.__new__(Array)
x.aval, x.buffer = aval, control
path = CallPath(program, [aval], [aval], ArrayLayout(Array, "aval", "buffer"), lambda *a: None)
interrupt_when_running()
try:
    path.native(x)
    print("finished")
except KeyboardInterrupt:
    print("interrupted")
for _ in range(1000):
    pass
print(usable())
""",
    "a call in another thread": """
outcome = []
def compute():
    try:
        program([control])
        outcome.append("finished")
    except KeyboardInterrupt:
        outcome.append("interrupted")
thread = threading.Thread(target=compute)
thread.start()
try:
    while not running.value:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
except KeyboardInterrupt:
    pass
thread.join()
print(*outcome)
print(usable())
""",
    "twice": """
for _ in range(2):
    running.value = 0
    interrupt_when_running()
    try:
        program([control])
        print("finished")
    except KeyboardInterrupt:
        outcome = "interrupted"
print(outcome)
print(usable())
""",
    "after another handler came and went": """
usable()
stop.value = running.value = 0
mine = signal.signal(signal.SIGINT, lambda *_: None)
signal.signal(signal.SIGINT, mine)
interrupt_when_running()
try:
    program([control])
    print("finished")
except KeyboardInterrupt:
    print("interrupted")
print(usable())
""",
}


@pytest.mark.parametrize("case", CASES)
def test_ctrl_c_ends_a_native_call(run_python, case: str):
    result = run_python(SETUP + CASES[case])
    assert result.stdout == "interrupted\nTrue\n", result.stderr


def test_a_handler_of_the_user_decides(run_python):
    script = """
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append("handled"))
interrupt_when_running(then=finish)
program([control])
print("finished", *seen)
print(usable())
"""
    result = run_python(SETUP + script)
    assert result.stdout == "finished handled\nTrue\n", result.stderr


def test_a_signal_from_before_does_not_interrupt_the_next_call(run_python):
    script = """
usable()  # puts the handler in place
try:
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        pass
except KeyboardInterrupt:
    print("caught")
print(usable())
"""
    result = run_python(SETUP + script)
    assert result.stdout == "caught\nTrue\n", result.stderr


def test_an_ignored_signal_stays_ignored(run_python):
    script = """
signal.signal(signal.SIGINT, signal.SIG_IGN)
interrupt_when_running(then=finish)
program([control])
print("finished")
"""
    result = run_python(SETUP + script)
    assert result.stdout == "finished\n", result.stderr


def test_the_default_action_still_kills(run_python):
    script = """
usable()
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.kill(os.getpid(), signal.SIGINT)
"""
    assert run_python(SETUP + script).returncode == -2

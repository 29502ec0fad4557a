"""The thread pool's machine code, as LLVM IR text; `weft.runtime.pool` says what it does.

The pool's state is a block of memory of `BLOCK_BYTES`, all zeros at first but for the number of
threads to start. Offset 0 is the generation, the word that workers wait on: the caller of a region
writes what is to be done, then counts the generation up, which publishes it.
"""

from __future__ import annotations

MAX_THREADS = 1024

#: Nanoseconds of spinning before a waiting thread sleeps (or, in a barrier, yields).
_SPIN = 40_000
#: Nanoseconds for which the caller then yields to the threads it waits for, before it sleeps.
_YIELD = 1_000_000

# The block. Words that different threads write are on cache lines of their own.
_GENERATION = 0  # i32, futex: counts regions; workers wait for it to change
_SLEEPERS = 64  # i32: workers in or near the futex
_FN = 128
_ARG = 136
_RUNNING = 144  # i64: threads of the started pool, the caller included
WANTED_OFFSET = 152  # i64: threads to start
_STARTED = 160  # i32
_QUIT = 164  # i32: workers leave at the next generation
_DONE = 192  # i32, futex: workers that finished the region
_CALLER_SLEEPS = 196  # i32
_LOCK = 256  # i32, futex: 0 free, 1 held, 2 held and waited for
_ARRIVED = 320  # i32: threads in the barrier
_BARRIER = 384  # i32: counts barriers
_MEMBERS = 448
# A member: ptr pool, i64 tid, i64 pthread_self, i64 handle, i32 generation at its start, padding.
_MEMBER_BYTES = 64
BLOCK_BYTES = _MEMBERS + MAX_THREADS * _MEMBER_BYTES

_FUTEX_NUMBER = {"x86_64": 202, "aarch64": 98}
SUPPORTED = tuple(_FUTEX_NUMBER)
_RELAX = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
}
_FUTEX_WAIT, _FUTEX_WAKE = 128, 129  # private to the process
_EVERYONE = 0x7FFFFFFF


def _field(name: str, offset: int) -> str:
    return f"  %{name} = getelementptr i8, ptr %pool, i64 {offset}"


def _waiting_ir(architecture: str) -> str:
    """Clock, futex and bounded spinning."""
    declare_relax, relax = _RELAX[architecture]
    futex = _FUTEX_NUMBER[architecture]
    return f"""
{declare_relax}
declare i64 @syscall(i64, ...)
declare i32 @clock_gettime(i32, ptr)
declare i32 @sched_yield()

define internal i64 @now() nounwind {{
  %time = alloca [2 x i64], align 8
  %r = call i32 @clock_gettime(i32 1, ptr %time)
  %seconds = load i64, ptr %time
  %rest_at = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %rest_at
  %whole = mul i64 %seconds, 1000000000
  %ns = add i64 %whole, %rest
  ret i64 %ns
}}

define internal void @futex_wait(ptr %word, i32 %seen) nounwind {{
  %r = call i64 (i64, ...) @syscall(i64 {futex}, ptr %word, i32 {_FUTEX_WAIT}, i32 %seen, ptr null,
                                    ptr null, i32 0)
  ret void
}}

define internal void @futex_wake(ptr %word, i32 %count) nounwind {{
  %r = call i64 (i64, ...) @syscall(i64 {futex}, ptr %word, i32 {_FUTEX_WAKE}, i32 %count, ptr null,
                                    ptr null, i32 0)
  ret void
}}

; Spins until *word differs from %seen or %budget ns have passed; returns what *word is then. The
; clock is read once in sixteen looks: it costs as much as a few of them.
define internal i32 @spin_while(ptr %word, i32 %seen, i64 %budget) nounwind {{
entry:
  br label %look
look:
  %n = phi i32 [0, %entry], [%n1, %relax], [%n1, %check_clock]
  %deadline = phi i64 [0, %entry], [%deadline, %relax], [%deadline1, %check_clock]
  %value = load atomic i32, ptr %word acquire, align 4
  %changed = icmp ne i32 %value, %seen
  br i1 %changed, label %out, label %relax
relax:
  {relax}
  %n1 = add i32 %n, 1
  %sixteenth = and i32 %n1, 15
  %due = icmp eq i32 %sixteenth, 0
  br i1 %due, label %clock, label %look
clock:
  %t = call i64 @now()
  %first = icmp eq i64 %deadline, 0
  %new_deadline = add i64 %t, %budget
  %deadline1 = select i1 %first, i64 %new_deadline, i64 %deadline
  %late = icmp sgt i64 %t, %deadline1
  br i1 %late, label %out, label %check_clock
check_clock:
  br label %look
out:
  ret i32 %value
}}
"""


def _worker_ir() -> str:
    """What a pool thread does all its life."""
    return f"""
define ptr @weft_worker(ptr %member) nounwind {{
entry:
  %pool = load ptr, ptr %member
  %tid_at = getelementptr i8, ptr %member, i64 8
  %tid = load i64, ptr %tid_at
  %self_at = getelementptr i8, ptr %member, i64 16
  %self = call i64 @pthread_self()
  store atomic i64 %self, ptr %self_at monotonic, align 8
  %born_at = getelementptr i8, ptr %member, i64 32
  %born = load i32, ptr %born_at
{_field("sleepers", _SLEEPERS)}
{_field("fn_at", _FN)}
{_field("arg_at", _ARG)}
{_field("running_at", _RUNNING)}
{_field("quit_at", _QUIT)}
{_field("done", _DONE)}
{_field("caller_sleeps", _CALLER_SLEEPS)}
  br label %wait
wait:
  %last = phi i32 [%born, %entry], [%g, %work], [%g, %wake_caller]
  %spun = call i32 @spin_while(ptr %pool, i32 %last, i64 {_SPIN})
  %came = icmp ne i32 %spun, %last
  br i1 %came, label %go, label %sleep
sleep:
  %s0 = atomicrmw add ptr %sleepers, i32 1 seq_cst
  %g0 = load atomic i32, ptr %pool seq_cst, align 4
  %still = icmp eq i32 %g0, %last
  br i1 %still, label %doze, label %awake
doze:
  call void @futex_wait(ptr %pool, i32 %last)
  br label %awake
awake:
  %s1 = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  %g1 = load atomic i32, ptr %pool seq_cst, align 4
  %new = icmp ne i32 %g1, %last
  br i1 %new, label %go, label %sleep
go:
  %g = phi i32 [%spun, %wait], [%g1, %awake]
  %quit = load atomic i32, ptr %quit_at acquire, align 4
  %leaving = icmp ne i32 %quit, 0
  br i1 %leaving, label %out, label %work
work:
  %fn = load ptr, ptr %fn_at
  %arg = load ptr, ptr %arg_at
  %nt = load i64, ptr %running_at
  call void %fn(ptr %arg, i64 %tid, i64 %nt)
  %d = atomicrmw add ptr %done, i32 1 seq_cst
  %asleep = load atomic i32, ptr %caller_sleeps seq_cst, align 4
  %must_wake = icmp ne i32 %asleep, 0
  br i1 %must_wake, label %wake_caller, label %wait
wake_caller:
  call void @futex_wake(ptr %done, i32 1)
  br label %wait
out:
  ret ptr null
}}
"""


def _start_ir() -> str:
    """Starting the threads, with every signal blocked: signals are the main thread's business.

    Those a thread raises itself (SIGILL 4, SIGTRAP 5, SIGABRT 6, SIGBUS 7, SIGFPE 8, SIGSEGV 11)
    stay open, so that a crash is reported as one.
    """
    own = "\n".join(
        f"  %d{number} = call i32 @sigdelset(ptr %all, i32 {number})"
        for number in (4, 5, 6, 7, 8, 11)
    )
    return f"""
declare i32 @sigfillset(ptr)
declare i32 @sigdelset(ptr, i32)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i64 @pthread_self()

; Called with the lock held. If the system refuses a thread, the pool is as large as it got.
define internal void @start(ptr %pool) nounwind noinline {{
entry:
  %all = alloca [128 x i8], align 16
  %before = alloca [128 x i8], align 16
  %f = call i32 @sigfillset(ptr %all)
{own}
  %m = call i32 @pthread_sigmask(i32 2, ptr %all, ptr %before)
{_field("wanted_at", WANTED_OFFSET)}
{_field("running_at", _RUNNING)}
{_field("started_at", _STARTED)}
{_field("members", _MEMBERS)}
  %wanted = load i64, ptr %wanted_at
  %generation = load atomic i32, ptr %pool monotonic, align 4
  br label %next
next:
  %tid = phi i64 [1, %entry], [%tid1, %created]
  %more = icmp slt i64 %tid, %wanted
  br i1 %more, label %create, label %finish
create:
  %offset = mul i64 %tid, {_MEMBER_BYTES}
  %member = getelementptr i8, ptr %members, i64 %offset
  store ptr %pool, ptr %member
  %tid_at = getelementptr i8, ptr %member, i64 8
  store i64 %tid, ptr %tid_at
  %self_at = getelementptr i8, ptr %member, i64 16
  store i64 0, ptr %self_at
  %handle_at = getelementptr i8, ptr %member, i64 24
  %born_at = getelementptr i8, ptr %member, i64 32
  store i32 %generation, ptr %born_at
  %c = call i32 @pthread_create(ptr %handle_at, ptr null, ptr @weft_worker, ptr %member)
  %ok = icmp eq i32 %c, 0
  br i1 %ok, label %created, label %finish
created:
  %tid1 = add i64 %tid, 1
  br label %next
finish:
  store i64 %tid, ptr %running_at
  store i32 1, ptr %started_at
  %u = call i32 @pthread_sigmask(i32 2, ptr %before, ptr null)
  ret void
}}
"""


def _lock_ir() -> str:
    """The lock around regions: a futex mutex that a thread inside a region is not blocked by."""
    return f"""
; Takes the lock: 1. If this thread is already in a region: 0.
define internal i32 @acquire(ptr %pool) nounwind {{
entry:
{_field("lock", _LOCK)}
  %try = cmpxchg ptr %lock, i32 0, i32 1 acquire monotonic
  %free = extractvalue {{i32, i1}} %try, 1
  br i1 %free, label %held, label %contended
contended:
  %nested = call i1 @is_member(ptr %pool)
  br i1 %nested, label %inside, label %spin
spin:
  %seen = call i32 @spin_while(ptr %lock, i32 1, i64 {_SPIN})
  %again = cmpxchg ptr %lock, i32 0, i32 1 acquire monotonic
  %got = extractvalue {{i32, i1}} %again, 1
  br i1 %got, label %held, label %queue
queue:
  %old = atomicrmw xchg ptr %lock, i32 2 acquire
  %was_free = icmp eq i32 %old, 0
  br i1 %was_free, label %held, label %doze
doze:
  call void @futex_wait(ptr %lock, i32 2)
  br label %queue
held:
{_field("owner_at", _MEMBERS + 16)}
  %self = call i64 @pthread_self()
  store atomic i64 %self, ptr %owner_at monotonic, align 8
  ret i32 1
inside:
  ret i32 0
}}

define internal void @release(ptr %pool) nounwind {{
entry:
{_field("lock", _LOCK)}
{_field("owner_at", _MEMBERS + 16)}
  store atomic i64 0, ptr %owner_at monotonic, align 8
  %old = atomicrmw xchg ptr %lock, i32 0 release
  %waited = icmp eq i32 %old, 2
  br i1 %waited, label %wake, label %out
wake:
  call void @futex_wake(ptr %lock, i32 1)
  br label %out
out:
  ret void
}}

; Is this thread the owner of the running region, or one of its workers?
define internal i1 @is_member(ptr %pool) nounwind noinline {{
entry:
{_field("running_at", _RUNNING)}
{_field("selves", _MEMBERS + 16)}
  %running = load i64, ptr %running_at
  %count = call i64 @llvm.smax.i64(i64 %running, i64 1)
  %self = call i64 @pthread_self()
  br label %look
look:
  %i = phi i64 [0, %entry], [%i1, %next]
  %offset = mul i64 %i, {_MEMBER_BYTES}
  %at = getelementptr i8, ptr %selves, i64 %offset
  %other = load atomic i64, ptr %at monotonic, align 8
  %same = icmp eq i64 %other, %self
  br i1 %same, label %yes, label %next
next:
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %count
  br i1 %more, label %look, label %no
yes:
  ret i1 true
no:
  ret i1 false
}}
declare i64 @llvm.smax.i64(i64, i64)
"""


def _region_ir() -> str:
    """`weft_parallel`: publish the region, run a share, wait for the others."""
    return f"""
define void @weft_parallel(ptr %pool, ptr %fn, ptr %arg) nounwind {{
entry:
{_field("wanted_at", WANTED_OFFSET)}
  %wanted = load atomic i64, ptr %wanted_at monotonic, align 8
  %alone = icmp sle i64 %wanted, 1
  br i1 %alone, label %serial, label %lock
lock:
  %got = call i32 @acquire(ptr %pool)
  %outer = icmp ne i32 %got, 0
  br i1 %outer, label %check, label %serial
serial:
  call void %fn(ptr %arg, i64 0, i64 1)
  ret void
check:
{_field("started_at", _STARTED)}
  %started = load i32, ptr %started_at
  %fresh = icmp eq i32 %started, 0
  br i1 %fresh, label %begin, label %publish
begin:
  call void @start(ptr %pool)
  br label %publish
publish:
{_field("running_at", _RUNNING)}
{_field("fn_at", _FN)}
{_field("arg_at", _ARG)}
{_field("done", _DONE)}
{_field("sleepers", _SLEEPERS)}
  %nt = load i64, ptr %running_at
  store ptr %fn, ptr %fn_at
  store ptr %arg, ptr %arg_at
  store atomic i32 0, ptr %done monotonic, align 4
  %g = atomicrmw add ptr %pool, i32 1 seq_cst
  %asleep = load atomic i32, ptr %sleepers seq_cst, align 4
  %must_wake = icmp ne i32 %asleep, 0
  br i1 %must_wake, label %wake, label %share
wake:
  call void @futex_wake(ptr %pool, i32 {_EVERYONE})
  br label %share
share:
  call void %fn(ptr %arg, i64 0, i64 %nt)
  %nt32 = trunc i64 %nt to i32
  %others = sub i32 %nt32, 1
  call void @join(ptr %pool, i32 %others)
  call void @release(ptr %pool)
  ret void
}}

; Waits until *done is %others: spins, then yields, then sleeps.
define internal void @join(ptr %pool, i32 %others) nounwind {{
entry:
{_field("done", _DONE)}
{_field("caller_sleeps", _CALLER_SLEEPS)}
  br label %look
look:
  %seen = load atomic i32, ptr %done acquire, align 4
  %all = icmp eq i32 %seen, %others
  br i1 %all, label %out, label %spin
spin:
  %now = call i32 @spin_while(ptr %done, i32 %seen, i64 {_SPIN})
  %moved = icmp ne i32 %now, %seen
  br i1 %moved, label %look, label %patience
patience:
  %start = call i64 @now()
  %deadline = add i64 %start, {_YIELD}
  br label %yield
yield:
  %y = call i32 @sched_yield()
  %seen2 = load atomic i32, ptr %done acquire, align 4
  %all2 = icmp eq i32 %seen2, %others
  br i1 %all2, label %out, label %late
late:
  %t = call i64 @now()
  %over = icmp sgt i64 %t, %deadline
  br i1 %over, label %sleep, label %yield
sleep:
  store atomic i32 1, ptr %caller_sleeps seq_cst, align 4
  br label %check
check:
  %seen3 = load atomic i32, ptr %done seq_cst, align 4
  %all3 = icmp eq i32 %seen3, %others
  br i1 %all3, label %awake, label %doze
doze:
  call void @futex_wait(ptr %done, i32 %seen3)
  br label %check
awake:
  store atomic i32 0, ptr %caller_sleeps monotonic, align 4
  br label %out
out:
  ret void
}}
"""


def _barrier_and_stop_ir() -> str:
    return f"""
define void @weft_barrier(ptr %pool, i64 %nt) nounwind {{
entry:
  %alone = icmp sle i64 %nt, 1
  br i1 %alone, label %out, label %arrive
arrive:
{_field("arrived_at", _ARRIVED)}
{_field("barrier", _BARRIER)}
  %nt32 = trunc i64 %nt to i32
  %seen = load atomic i32, ptr %barrier acquire, align 4
  %before = atomicrmw add ptr %arrived_at, i32 1 acq_rel
  %arrived = add i32 %before, 1
  %last = icmp eq i32 %arrived, %nt32
  br i1 %last, label %open, label %wait
open:
  store atomic i32 0, ptr %arrived_at monotonic, align 4
  %next = add i32 %seen, 1
  store atomic i32 %next, ptr %barrier release, align 4
  br label %out
wait:
  %now = call i32 @spin_while(ptr %barrier, i32 %seen, i64 {_SPIN})
  %opened = icmp ne i32 %now, %seen
  br i1 %opened, label %out, label %yield
yield:
  %y = call i32 @sched_yield()
  %value = load atomic i32, ptr %barrier acquire, align 4
  %changed = icmp ne i32 %value, %seen
  br i1 %changed, label %out, label %yield
out:
  ret void
}}

; Ends the threads and makes the pool start %wanted ones next time; 0 from inside a region.
define i32 @weft_pool_resize(ptr %pool, i64 %wanted) nounwind {{
entry:
  %got = call i32 @acquire(ptr %pool)
  %outer = icmp ne i32 %got, 0
  br i1 %outer, label %check, label %refuse
refuse:
  ret i32 0
check:
{_field("started_at", _STARTED)}
{_field("quit_at", _QUIT)}
{_field("running_at", _RUNNING)}
{_field("wanted_at", WANTED_OFFSET)}
{_field("handles", _MEMBERS + 24)}
  %started = load i32, ptr %started_at
  %live = icmp ne i32 %started, 0
  br i1 %live, label %stop, label %finish
stop:
  store atomic i32 1, ptr %quit_at release, align 4
  %g = atomicrmw add ptr %pool, i32 1 seq_cst
  call void @futex_wake(ptr %pool, i32 {_EVERYONE})
  %running = load i64, ptr %running_at
  br label %next
next:
  %tid = phi i64 [1, %stop], [%tid1, %end]
  %more = icmp slt i64 %tid, %running
  br i1 %more, label %end, label %stopped
end:
  %offset = mul i64 %tid, {_MEMBER_BYTES}
  %handle_at = getelementptr i8, ptr %handles, i64 %offset
  %handle = load i64, ptr %handle_at
  %j = call i32 @pthread_join(i64 %handle, ptr null)
  %tid1 = add i64 %tid, 1
  br label %next
stopped:
  store atomic i32 0, ptr %quit_at release, align 4
  store i32 0, ptr %started_at
  br label %finish
finish:
  store i64 0, ptr %running_at
  store atomic i64 %wanted, ptr %wanted_at monotonic, align 8
  call void @release(ptr %pool)
  ret i32 1
}}
"""


def pool_ir(architecture: str) -> str:
    """The pool's module for a processor architecture (``x86_64`` or ``aarch64``), on Linux."""
    parts = (_worker_ir(), _start_ir(), _lock_ir(), _region_ir(), _barrier_and_stop_ir())
    return _waiting_ir(architecture) + "".join(parts)

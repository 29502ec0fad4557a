"""The thread pool's machine code, as LLVM IR text; `weft.runtime.pool` says what it does.

The pool's state is a block of memory of `BLOCK_BYTES`, all zeros at first but for the number of
threads to start. At offset 0 is the *ticket*, the word that workers wait on: the caller of a region
writes down what is to be done, then a new ticket, which publishes it::

    ticket = number of the region (40 bits) | blocks of each share (12) | shares (12)

Every thread has a *claim* word: the region it was last used in (40 bits) and how many blocks of the
thread's share are claimed (24). A block belongs to whoever moves the word on by compare-and-swap.
A claim from an earlier region counts as "nothing claimed yet", so nobody has to reset these words.
What makes this safe is that a caller leaves a region only when all of its shares are used up: a
worker that still holds the ticket of a region that is over finds nothing to claim, and one that has
claimed a block may read what is to be done, since the caller is waiting for it.
"""

from __future__ import annotations

MAX_THREADS = 1024

#: Most blocks that the share of a thread is divided into.
_BLOCKS_PER_SHARE = 32
#: Most blocks of a region whose caller begins without the threads.
_BLOCKS_ALONE = 64

#: Nanoseconds of spinning before a waiting thread sleeps.
_SPIN = 40_000

# The block. Words that different threads write are on cache lines of their own.
_TICKET = 0  # i64, futex (the lower half): workers wait for it to change
_SLEEPERS = 64  # i32: workers in or near the futex
_FN = 128  # what is to be done: fn(env, thread, base + k*unit, base + (k+1)*unit, whole)
_ENV = 136
_BASE = 144
_UNIT = 152
_WHOLE = 160
_RUNNING = 192  # i64: threads of the started pool, the caller included
WANTED_OFFSET = 200  # i64: threads to start
_STARTED = 208  # i32
_QUIT = 212  # i32: workers leave at the next ticket
_DONE = 256  # i64, futex: blocks that workers finished
_CALLER_SLEEPS = 264  # i32
_LOCK = 320  # i32, futex: 0 free, 1 held, 2 held and waited for
_MEMBERS = 384
# A member: ptr pool, i64 thread, i64 handle, i32 lower half of the ticket at its start; and on a
# cache line of its own (two, for processors that fetch pairs), its claim.
_MEMBER_BYTES = 256
_CLAIM = 128
BLOCK_BYTES = _MEMBERS + MAX_THREADS * _MEMBER_BYTES

_NUMBER = (1 << 40) - 1
_PER_BITS, _SHARES_BITS = 40, 52

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
define internal i64 @spin_while(ptr %word, i64 %seen, i64 %budget) nounwind {{
entry:
  br label %look
look:
  %n = phi i32 [0, %entry], [%n1, %relax], [%n1, %check_clock]
  %deadline = phi i64 [0, %entry], [%deadline, %relax], [%deadline1, %check_clock]
  %value = load atomic i64, ptr %word acquire, align 8
  %changed = icmp ne i64 %value, %seen
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
  ret i64 %value
}}
"""


def _work_ir() -> str:
    """Claiming blocks, and what a pool thread does all its life."""
    return f"""
; Runs blocks of the region with this ticket until none is left, those of the own share first, and
; returns how many. Called by thread 0 it leaves every share used up.
define internal i64 @work(ptr %pool, i64 %ticket, i64 %thread) nounwind {{
entry:
{_field("fn_at", _FN)}
{_field("env_at", _ENV)}
{_field("base_at", _BASE)}
{_field("unit_at", _UNIT)}
{_field("whole_at", _WHOLE)}
{_field("claims", _MEMBERS + _CLAIM)}
  %number = and i64 %ticket, {_NUMBER}
  %per_up = lshr i64 %ticket, {_PER_BITS}
  %per = and i64 %per_up, 4095
  %shares = lshr i64 %ticket, {_SHARES_BITS}
  br label %share
share:
  %k = phi i64 [0, %entry], [%k1, %next]
  %ran = phi i64 [0, %entry], [%ran1, %next]
  %sum = add i64 %thread, %k
  %over = icmp uge i64 %sum, %shares
  %less = sub i64 %sum, %shares
  %owner = select i1 %over, i64 %less, i64 %sum
  %offset = mul i64 %owner, {_MEMBER_BYTES}
  %claim_at = getelementptr i8, ptr %claims, i64 %offset
  %first = load atomic i64, ptr %claim_at acquire, align 8
  br label %look
look:
  %claim = phi i64 [%first, %share], [%found, %claiming], [%moved, %run]
  %ran1 = phi i64 [%ran, %share], [%ran1, %claiming], [%ran2, %run]
  %its_number = and i64 %claim, {_NUMBER}
  %current = icmp eq i64 %its_number, %number
  br i1 %current, label %count, label %other
other:
  ; The caller knows that its region is the newest; a worker may be late.
  %age = sub i64 %number, %its_number
  %age_mod = and i64 %age, {_NUMBER}
  %older = icmp ult i64 %age_mod, {(_NUMBER + 1) // 2}
  %caller = icmp eq i64 %thread, 0
  %begin = or i1 %older, %caller
  br i1 %begin, label %claiming, label %out
count:
  %claimed = lshr i64 %claim, 40
  %left = icmp ult i64 %claimed, %per
  br i1 %left, label %claiming, label %next
claiming:
  %block = phi i64 [%claimed, %count], [0, %other]
  %block1 = add i64 %block, 1
  %high = shl i64 %block1, 40
  %moved = or i64 %high, %number
  %cas = cmpxchg ptr %claim_at, i64 %claim, i64 %moved acq_rel acquire
  %found = extractvalue {{i64, i1}} %cas, 0
  %mine = extractvalue {{i64, i1}} %cas, 1
  br i1 %mine, label %run, label %look
run:
  %fn = load ptr, ptr %fn_at
  %env = load ptr, ptr %env_at
  %base = load i64, ptr %base_at
  %unit = load i64, ptr %unit_at
  %whole = load i64, ptr %whole_at
  %before = mul i64 %owner, %per
  %index = add i64 %before, %block
  %steps = mul i64 %index, %unit
  %lo = add i64 %base, %steps
  %hi = add i64 %lo, %unit
  call void %fn(ptr %env, i64 %thread, i64 %lo, i64 %hi, i64 %whole)
  %ran2 = add i64 %ran1, 1
  br label %look
next:
  %k1 = add i64 %k, 1
  %more = icmp ult i64 %k1, %shares
  br i1 %more, label %share, label %out
out:
  %total = phi i64 [%ran1, %next], [%ran1, %other]
  ret i64 %total
}}

define ptr @weft_worker(ptr %member) nounwind {{
entry:
  %pool = load ptr, ptr %member
  %thread_at = getelementptr i8, ptr %member, i64 8
  %thread = load i64, ptr %thread_at
  %born_at = getelementptr i8, ptr %member, i64 24
  %born = load i64, ptr %born_at
{_field("sleepers", _SLEEPERS)}
{_field("quit_at", _QUIT)}
{_field("done", _DONE)}
{_field("caller_sleeps", _CALLER_SLEEPS)}
  br label %wait
wait:
  %last = phi i64 [%born, %entry], [%ticket, %work], [%ticket, %finish], [%ticket, %wake_caller]
  %spun = call i64 @spin_while(ptr %pool, i64 %last, i64 {_SPIN})
  %came = icmp ne i64 %spun, %last
  br i1 %came, label %go, label %sleep
sleep:
  %s0 = atomicrmw add ptr %sleepers, i32 1 seq_cst
  %t0 = load atomic i64, ptr %pool seq_cst, align 8
  %still = icmp eq i64 %t0, %last
  br i1 %still, label %doze, label %awake
doze:
  %half = trunc i64 %last to i32
  call void @futex_wait(ptr %pool, i32 %half)
  br label %awake
awake:
  %s1 = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  %t1 = load atomic i64, ptr %pool seq_cst, align 8
  %new = icmp ne i64 %t1, %last
  br i1 %new, label %go, label %sleep
go:
  %ticket = phi i64 [%spun, %wait], [%t1, %awake]
  %quit = load atomic i32, ptr %quit_at acquire, align 4
  %leaving = icmp ne i32 %quit, 0
  br i1 %leaving, label %out, label %work
work:
  %shares = lshr i64 %ticket, {_SHARES_BITS}
  %takes_part = icmp ult i64 %thread, %shares
  br i1 %takes_part, label %help, label %wait
help:
  %ran = call i64 @work(ptr %pool, i64 %ticket, i64 %thread)
  %none = icmp eq i64 %ran, 0
  br i1 %none, label %finish, label %report
finish:
  br label %wait
report:
  %d = atomicrmw add ptr %done, i64 %ran seq_cst
  %asleep = load atomic i32, ptr %caller_sleeps seq_cst, align 4
  %must_wake = icmp ne i32 %asleep, 0
  br i1 %must_wake, label %wake_caller, label %finish
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
  %ticket = load atomic i64, ptr %pool monotonic, align 8
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
  %handle_at = getelementptr i8, ptr %member, i64 16
  %born_at = getelementptr i8, ptr %member, i64 24
  store i64 %ticket, ptr %born_at
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


def _region_ir() -> str:
    """`weft_parallel`: publish the region, run what is unclaimed, wait for what is not."""
    return f"""
; Tries to take the threads.
define internal i1 @take(ptr %pool) nounwind {{
{_field("lock", _LOCK)}
  %try = cmpxchg ptr %lock, i32 0, i32 1 acquire monotonic
  %free = extractvalue {{i32, i1}} %try, 1
  ret i1 %free
}}

define internal void @release(ptr %pool) nounwind {{
entry:
{_field("lock", _LOCK)}
  %old = atomicrmw xchg ptr %lock, i32 0 release
  %waited = icmp eq i32 %old, 2
  br i1 %waited, label %wake, label %out
wake:
  call void @futex_wake(ptr %lock, i32 1)
  br label %out
out:
  ret void
}}

define void @weft_parallel(ptr %pool, ptr %fn, ptr %env, i64 %blocks, i64 %most) nounwind {{
entry:
{_field("wanted_at", WANTED_OFFSET)}
  %wanted = load atomic i64, ptr %wanted_at monotonic, align 8
  %threads = call i64 @llvm.smin.i64(i64 %wanted, i64 %most)
  %several = icmp sgt i64 %threads, 1
  br i1 %several, label %try, label %alone
alone:
  call void %fn(ptr %env, i64 0, i64 0, i64 1, i64 1)
  ret void
try:
  %got = call i1 @take(ptr %pool)
  br i1 %got, label %together, label %busy
together:
  call void @share(ptr %pool, ptr %fn, ptr %env, i64 %blocks, i64 %most, i64 0, i64 1)
  ret void
busy:
  ; Somebody else has the threads: run block after block, and see whether they are free now.
  %capped = call i64 @llvm.smin.i64(i64 %blocks, i64 {_BLOCKS_ALONE})
  %whole = call i64 @llvm.smax.i64(i64 %capped, i64 1)
  br label %one
one:
  %block = phi i64 [0, %busy], [%block1, %again]
  %block1 = add i64 %block, 1
  call void %fn(ptr %env, i64 0, i64 %block, i64 %block1, i64 %whole)
  %more = icmp slt i64 %block1, %whole
  br i1 %more, label %again, label %out
again:
  %now = call i1 @take(ptr %pool)
  br i1 %now, label %rest, label %one
rest:
  call void @share(ptr %pool, ptr %fn, ptr %env, i64 %blocks, i64 %most, i64 %block1, i64 %whole)
  ret void
out:
  ret void
}}

; With the threads taken: runs what is left of a region, all but the first %begun of %parts, in
; about %blocks blocks, and gives the threads back.
define internal void @share(ptr %pool, ptr %fn, ptr %env, i64 %blocks, i64 %most,
                            i64 %begun, i64 %parts) nounwind {{
entry:
{_field("started_at", _STARTED)}
{_field("running_at", _RUNNING)}
  %started = load i32, ptr %started_at
  %fresh = icmp eq i32 %started, 0
  br i1 %fresh, label %begin, label %divide
begin:
  call void @start(ptr %pool)
  br label %divide
divide:
{_field("fn_at", _FN)}
{_field("env_at", _ENV)}
{_field("base_at", _BASE)}
{_field("unit_at", _UNIT)}
{_field("whole_at", _WHOLE)}
{_field("done", _DONE)}
{_field("sleepers", _SLEEPERS)}
  %running = load i64, ptr %running_at
  %shares = call i64 @llvm.smin.i64(i64 %running, i64 %most)
  %each = udiv i64 %blocks, %shares
  %few = call i64 @llvm.smin.i64(i64 %each, i64 {_BLOCKS_PER_SHARE})
  %per = call i64 @llvm.smax.i64(i64 %few, i64 1)
  %count = mul i64 %per, %shares
  %base = mul i64 %begun, %count
  %unit = sub i64 %parts, %begun
  %whole = mul i64 %parts, %count
  store ptr %fn, ptr %fn_at
  store ptr %env, ptr %env_at
  store i64 %base, ptr %base_at
  store i64 %unit, ptr %unit_at
  store i64 %whole, ptr %whole_at
  store atomic i64 0, ptr %done monotonic, align 8
  %old = load atomic i64, ptr %pool monotonic, align 8
  %old1 = add i64 %old, 1
  %number = and i64 %old1, {_NUMBER}
  %per_up = shl i64 %per, {_PER_BITS}
  %shares_up = shl i64 %shares, {_SHARES_BITS}
  %numbered = or i64 %number, %per_up
  %ticket = or i64 %numbered, %shares_up
  %before = atomicrmw xchg ptr %pool, i64 %ticket seq_cst
  %asleep = load atomic i32, ptr %sleepers seq_cst, align 4
  %must_wake = icmp ne i32 %asleep, 0
  br i1 %must_wake, label %wake, label %run
wake:
  call void @futex_wake(ptr %pool, i32 {_EVERYONE})
  br label %run
run:
  %mine = call i64 @work(ptr %pool, i64 %ticket, i64 0)
  %theirs = sub i64 %count, %mine
  call void @join(ptr %pool, i64 %theirs)
  call void @release(ptr %pool)
  ret void
}}

; Waits until *done is %others, the number of blocks that workers have claimed.
define internal void @join(ptr %pool, i64 %others) nounwind {{
entry:
{_field("done", _DONE)}
{_field("caller_sleeps", _CALLER_SLEEPS)}
  br label %look
look:
  %seen = load atomic i64, ptr %done acquire, align 8
  %all = icmp eq i64 %seen, %others
  br i1 %all, label %out, label %spin
spin:
  %now = call i64 @spin_while(ptr %done, i64 %seen, i64 {_SPIN})
  %moved = icmp ne i64 %now, %seen
  br i1 %moved, label %look, label %sleep
sleep:
  store atomic i32 1, ptr %caller_sleeps seq_cst, align 4
  br label %check
check:
  %seen2 = load atomic i64, ptr %done seq_cst, align 8
  %all2 = icmp eq i64 %seen2, %others
  br i1 %all2, label %awake, label %doze
doze:
  %half = trunc i64 %seen2 to i32
  call void @futex_wait(ptr %done, i32 %half)
  br label %check
awake:
  store atomic i32 0, ptr %caller_sleeps monotonic, align 4
  br label %out
out:
  ret void
}}

declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
"""


def _stop_ir() -> str:
    return f"""
; Ends the threads and makes the pool start %wanted ones next time.
define void @weft_pool_resize(ptr %pool, i64 %wanted) nounwind {{
entry:
{_field("lock", _LOCK)}
  br label %queue
queue:
  %old = atomicrmw xchg ptr %lock, i32 2 acquire
  %was_free = icmp eq i32 %old, 0
  br i1 %was_free, label %check, label %doze
doze:
  call void @futex_wait(ptr %lock, i32 2)
  br label %queue
check:
{_field("started_at", _STARTED)}
{_field("quit_at", _QUIT)}
{_field("running_at", _RUNNING)}
{_field("wanted_at", WANTED_OFFSET)}
{_field("handles", _MEMBERS + 16)}
  %started = load i32, ptr %started_at
  %live = icmp ne i32 %started, 0
  br i1 %live, label %stop, label %finish
stop:
  store atomic i32 1, ptr %quit_at release, align 4
  %number = load atomic i64, ptr %pool monotonic, align 8
  %number1 = add i64 %number, 1
  %ticket = and i64 %number1, {_NUMBER}
  %before = atomicrmw xchg ptr %pool, i64 %ticket seq_cst
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
  ret void
}}
"""


def pool_ir(architecture: str) -> str:
    """The pool's module for a processor architecture (``x86_64`` or ``aarch64``), on Linux."""
    parts = (_work_ir(), _start_ir(), _region_ir(), _stop_ir())
    return _waiting_ir(architecture) + "".join(parts)

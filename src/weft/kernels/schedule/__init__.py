"""Scheduling operations: small functions kernel → kernel that change how, never what.

Each documents itself as ``before → after`` and refuses an illegal step with a `ScheduleError`
that says why.  Loops are addressed by their axis; kernels are never changed in place.
"""

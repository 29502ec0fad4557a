"""The analytic price of a scheduled kernel: data movement, completed by what else costs.

Nothing is run, profiled or fitted.  A kernel is read as a loop tree with blocks of register
operations and affine accesses (`outline`); every access has a footprint in cache lines under every
loop (`footprint`); from these follow residency and misses at every level (`traffic`); blocks cost
the cycles of the busiest port, of their dependences and of their spills (`blocks`); `price` adds it
up.  The time is meant to *rank* schedules of one kernel: of 1,534 measured schedules of 36
problems, the best of the eight it likes most was within 2% of the best of all.

All of that is for CPUs; a GPU has grids, occupancy and coalescing instead (`gpu`).
"""

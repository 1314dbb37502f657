"""The verdict: which losses are shown to differ, and what could not have been seen.

records       finished runs, and what is wrong with those that cannot be used
comparable    whether runs may be compared
entrants      a loss under a sampler, with its runs; pairs: two of them
metric        what entrants are compared by
statistics, resampling, thresholds, attribution, cost, rare_classes, best_of_trials
comparison    the whole comparison; sentences: in words
self_test     how often the verdict is wrong, by simulation

May import runs, numpy and scipy; never torch, never a library that draws.
"""

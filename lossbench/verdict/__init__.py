"""The verdict: which losses are shown to differ, and what could not have been seen.

records       what a directory holds; runs, run_files, single_runs: finished runs, and what is wrong with the others
comparable    whether runs may be compared
entrants      a loss under a sampler, with its runs; line_up: those of a comparison
pairs         two entrants; families: pairs that are tested together
metric        what entrants are compared by
two_way       the error of a pair over seeds and images; score_interval: of one loss
statistics, thresholds, attribution, cost, rare_classes, best_of_trials
judge         from runs to a judged comparison; comparison: what it holds; data_notes: what limits it
standing      who may lead; training_sentences: who was not trained to the end; advice: what to do next
folds         folds of a seed as one run
sentences     in words, the decision first; sentence: a sentence with the claims it makes
questions     planned questions; asked_before: in `compare.json`; looks: the price of looking again
contradictions sentences that the numbers do not bear out; random_comparisons: to search for them
self_test     how often the verdict is wrong, by simulation

May import runs, numpy and scipy; never torch, never a library that draws.
"""

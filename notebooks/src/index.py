# %% [markdown]
# # Django Caching, Measured
#
# A course on caching in Django in which nothing is asserted: every claim is a cell that runs, is drawn, is held against
# theory where there is one, and is compared again by a machine whenever the course changes. Each notebook boots a real shop,
# with a real database and a real cache server, for itself alone.
#
# {{map}}
#
# ## How to read it
#
# Start with `00_start_here`: it takes eight minutes. Every notebook has a **core** of at most half an hour and, below a line,
# **Deeper**, for later. Every one runs alone and in any order, but each assumes what the ones above it have shown.
#
# | you have | read |
# |---|---|
# | an evening now and then | one core at a time, from the top; the exercises the next morning |
# | three hours | the cores of 00, 01, 03, 07 and 09, and of 10 as it appears |
# | a day or two | everything above the line, in order; then the parts of *Deeper* that sound like your last incident |
#
# These are your own copies: change what you like. `reset()` brings a notebook back, `doctor()` looks for what is wrong,
# `progress()` shows how far you are.

"""TEMP."""
import math, random
def jittered(timeout, share=0.1): return timeout * random.uniform(1 - share, 1 + share)
def is_due(now, expires, took, beta, chance=random.random): return now - took * beta * math.log(chance()) >= expires

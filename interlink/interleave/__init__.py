"""Turns clips with texts into documents: filters, budgets, order. Pure functions; no pixels.

evidence: what the tables hold on each clip. filters: which clips stay. budgets: sampling, thinning and cutting.
policies: the order of frames and texts. compose: the document. A package adds an order with an entry point.
"""

"""From clips with words to documents: what stays, within which budgets, in which order. Pure functions; no pixels.

evidence: what the tables say of each clip. filters: which clips stay. budgets: sampling, thinning, cutting. policies:
in which order frames and texts are told. compose: the document. Who wants another order offers a policy by entry point.
"""

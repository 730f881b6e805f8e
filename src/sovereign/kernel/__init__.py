"""The stations, in the order of the path: question, plan, search, admit, read, claims, verify, experiment, draft, tribunal, policy, review, publish.

Stations never import one another; what two of them need lies in `language` (below them) or crosses as a record.
"""

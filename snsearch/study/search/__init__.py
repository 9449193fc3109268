"""A search, from its first training to its last.

The process that the user started owns the study, and workers train pieces of networks for it. First a pilot finds how
long trainings are, then most work goes where it decides, and at the end the finalists are trained in full by seeds
that did not choose them, until they are told apart or shown equal.
"""

from snsearch.study.search.plan import Plan as Plan
from snsearch.study.search.run import run_plan as run_plan

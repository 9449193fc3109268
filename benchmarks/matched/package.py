"""Everything that the benchmark takes from snsearch, in one place: a module that moves is named here only."""

from functools import partial

from snsearch.lab.logs import TrainingLog as TrainingLog
from snsearch.lab.scores import zero_cost as zero_cost
from snsearch.network.arch import Architecture as Architecture
from snsearch.solver.budget import load_budget as load_budget
from snsearch.solver.candidates import candidates_of as candidates_of
from snsearch.solver.candidates import deployed_on as deployed_on
from snsearch.solver.candidates import matched_set as matched_set
from snsearch.solver.design import label_of as label_of
from snsearch.solver.sampling import sample as sample
from snsearch.solver.spec import load_space as load_space
from snsearch.training.data import Dataset as Dataset
from snsearch.training.data import Images as Images
from snsearch.training.proxy import ProxyTraining as ProxyTraining
from snsearch.training.proxy import TrainingDiverged as TrainingDiverged
from snsearch.training.proxy import parameter_groups as parameter_groups
from snsearch.training.recipe import ProxyResult as ProxyResult
from snsearch.training.recipe import Recipe as Recipe
from snsearch.training.sources import load_data as load_any_data

# The benchmark trains on all training images and scores on the test images.
load_data = partial(load_any_data, scored_on_test=True)

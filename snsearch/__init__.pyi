from .api import NetworkCount as NetworkCount
from .api import Prediction as Prediction
from .api import Solutions as Solutions
from .api import budgets as budgets
from .api import build as build
from .api import calibrate as calibrate
from .api import count as count
from .api import predict as predict
from .api import profiles as profiles
from .api import solve as solve
from .api import spaces as spaces
from .latency import Profile as Profile
from .network import Architecture as Architecture
from .network import ConventionCount as ConventionCount
from .network import CostReport as CostReport
from .solver import Budget as Budget
from .solver import Solution as Solution
from .solver import SpaceSpec as SpaceSpec

__version__: str

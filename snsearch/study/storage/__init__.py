"""Studies in databases: what a search asks and tells, and what it leaves behind. Studies are opened here only.

The study's storage is the single record: the settings stand in its attributes, everything about a candidate in its
trial's. A study is made by one set of settings; other settings need another study.
"""

from snsearch.study.storage.design_sampler import DesignSampler as DesignSampler
from snsearch.study.storage.opening import is_searched as is_searched
from snsearch.study.storage.reading import attach as attach
from snsearch.study.storage.reading import read_study as read_study
from snsearch.study.storage.samplers import sampler_of as sampler_of
from snsearch.study.storage.study import Study as Study

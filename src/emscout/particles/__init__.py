"""Which particles are there, how big? Segment, measure, summarize."""

from emscout.particles.analyze import AnalyzeOptions, analyze
from emscout.particles.bayesian import filter_particles
from emscout.particles.measure import measure_particles
from emscout.particles.segment import segment_particles

__all__ = ["AnalyzeOptions", "analyze", "filter_particles", "measure_particles", "segment_particles"]

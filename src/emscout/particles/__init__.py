"""Which particles are there, how big, how sure? Segment, measure, summarize."""

from emscout.particles.analyze import ParticleOptions, analyze
from emscout.particles.find import ParticleResult, find_particles
from emscout.particles.measure import measure_particles
from emscout.particles.segment import SEGMENTERS, segment_particles
from emscout.particles.segmenters.bayesian import filter_particles

__all__ = [
    "SEGMENTERS",
    "ParticleOptions",
    "ParticleResult",
    "analyze",
    "filter_particles",
    "find_particles",
    "measure_particles",
    "segment_particles",
]

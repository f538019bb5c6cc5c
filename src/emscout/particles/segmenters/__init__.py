"""How particles are found: by a Bayesian network, or without one by a component tree."""

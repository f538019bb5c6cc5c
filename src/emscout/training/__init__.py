"""Training of the shipped networks: the only place that imports torch (extra ``train``)."""

"""From a trained torch module to a folder of one format: graphs, quantisation, files, model card."""

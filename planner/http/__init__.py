"""The HTTP service: the use cases of `planner.service.asking` behind routes, and the page on top of them."""

"""The HTTP service: the use cases of `planner.service` behind routes, and the page on top of them."""

"""How sure a fit is: intervals, profiles, bootstraps."""

"""From observations to a law.

The Python way in, beside command, HTTP and notebook: `fit` takes a table, `load` a law that was saved.

    from planner import laws
    fit = laws.fit(frame, error="loss", axes=["n", "d"])
    fit.predict(next)

`difference` compares the laws of a table's groups. All are found when they are asked for: who imports the package for
one of its records pays for no optimiser.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.laws.table_law import TableLaw, difference, fit, load

__all__ = ["TableLaw", "difference", "fit", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'planner.laws' has no attribute {name!r}")
    from planner.laws import table_law

    return getattr(table_law, name)

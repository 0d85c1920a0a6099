"""Data sheets of common accelerators, so that costs can be foretold before one is measured.

Peak FLOP/s are the makers' dense figures (without structured sparsity) of the tensor cores in the named
element type, 2 per multiply-add; bandwidth and capacity are those of the device's memory. Sources: the
makers' data sheets: A100 (2021), H100 and H200 (2024), L4 and L40S (2023), T4 (2018), V100 (2018), A10
(2021), and the Ada architecture's white paper for the RTX 4090. Names are those that
`runner.trial.device.gpu_name` gives to the device when it is met.
"""

from __future__ import annotations

from planner.costs.latency.transfer import DataSheet

GIB = 2**30


def _sheet(
    name: str, tera_flops: float, giga_bytes: float, gibibytes: int, dtype: str = "bfloat16"
) -> DataSheet:
    return DataSheet(
        name=name, kind="cuda", peak_flops=1e12 * tera_flops, bandwidth=1e9 * giga_bytes, dtype=dtype,
        memory_bytes=gibibytes * GIB,
    )  # fmt: skip


DATA_SHEETS: dict[str, DataSheet] = {
    sheet.name: sheet
    for sheet in (
        _sheet("a10", 125, 600, 24),
        _sheet("a100-sxm4-40gb", 312, 1555, 40),
        _sheet("a100-sxm4-80gb", 312, 2039, 80),
        _sheet("h100", 989, 3350, 80),
        _sheet("h100-pcie", 756, 2000, 80),
        _sheet("h200", 989, 4800, 141),
        _sheet("l4", 121, 300, 24),
        _sheet("l40s", 362, 864, 48),
        _sheet("rtx-4090", 165, 1008, 24),
        _sheet("t4", 65, 320, 16, "float16"),
        _sheet("v100-sxm2-16gb", 125, 900, 16, "float16"),
        _sheet("v100-sxm2-32gb", 125, 900, 32, "float16"),
    )
}
"""By name."""

"""What a cloudless sky gives to a plant, as an upper bound where nobody measured the irradiation.

The model of P. Ineichen and R. Perez (2002) at sea level, in a very clear sky (Linke turbidity 2), for the fixed plane
that catches most on the day: the modules' own plane is not known to the API. Clouds, shade, snow and haze take from
it; mountains, trackers and the bright edge of a cloud may add to it for a while.
"""

from math import exp, pi

import polars as pl

from pipeline.transform.sun.position import compute_direction

LINKE_TURBIDITY = 2.0
ALBEDO = 0.2
# Sunlight outside of the atmosphere at the mean distance, and what the ellipse adds in January.
SOLAR_CONSTANT_W_PER_M2, ELLIPSE = 1366.1, 0.033
# The model's numbers at altitude 0.
_CG1, _CG2 = 0.868, 0.0387
_BEAM = 0.664 + 0.163
_DIFFUSE = 1 - (0.1 - 0.2 * exp(-LINKE_TURBIDITY)) / (0.1 + 0.882)
# A plane's own light decides which plane is best: it is settled after so many looks.
_LOOKS = 3
_AXES = ("east", "north", "up")


def compute_clear_sky(places: pl.DataFrame) -> pl.DataFrame:
    """Irradiance in W/m² under a cloudless sky: `at` (UTC) at latitude, longitude in degrees.

    The answer is the frame with ghi (on the ground), dni (towards the sun), dhi (from the sky) and the sun's direction
    east, north, up. All are 0 while the sun is down, and null where a coordinate is.
    """
    up = pl.col("up").clip(1e-6, 1)
    height = up.arcsin().degrees()
    mass = 1 / (up + 0.50572 * (height + 6.07995).pow(-1.6364))  # Kasten and Young, 1989
    day = 2 * pi * pl.col("at").dt.ordinal_day() / 365
    ghi = pl.col("outside") * up * _CG1 * (-_CG2 * pl.col("mass") * LINKE_TURBIDITY).exp()
    beam = pl.col("outside") * _BEAM * (-0.09 * pl.col("mass") * (LINKE_TURBIDITY - 1)).exp()
    found = (
        places.hstack(compute_direction(places))
        .with_columns(mass=mass, outside=SOLAR_CONSTANT_W_PER_M2 * (1 + ELLIPSE * day.cos()))
        .with_columns(ghi=pl.when(pl.col("up") > 0).then(ghi).when(pl.col("up") <= 0).then(0.0))
        .with_columns(dni=pl.min_horizontal(beam, pl.col("ghi") * _DIFFUSE / up))
        .with_columns(dni=pl.when(pl.col("ghi") > 0).then("dni").otherwise(pl.col("ghi")))
    )
    return found.with_columns(dhi=pl.col("ghi") - pl.col("dni") * pl.col("up").clip(0, 1)).drop(
        "mass", "outside"
    )


def project_on_best_plane(sky: pl.DataFrame) -> pl.Series:
    """Irradiance in W/m² on each plant's best fixed plane of the day, for rows of `compute_clear_sky` with plant_id.

    The plane faces the mean direction of the beams that reach it; sky and ground (albedo 0.2) are taken as even.
    """
    # The search begins with the hours around midday: where the sun does not set, a search that begins with the whole
    # day would look straight up and stay there.
    lit = pl.col("up") >= pl.col("up").filter(pl.col("up") > 0).mean().over("plant_id")
    for _ in range(_LOOKS):
        sums = [(pl.col("dni") * pl.col(axis)).filter(lit).sum().over("plant_id") for axis in _AXES]
        sky = sky.with_columns(total.alias(f"to_{axis}") for axis, total in zip(_AXES, sums, strict=True))
        length = pl.sum_horizontal(pl.col(f"to_{axis}") ** 2 for axis in _AXES).sqrt()
        sky = sky.with_columns(pl.col(f"to_{axis}") / length for axis in _AXES)
        sky = sky.with_columns(facing=pl.sum_horizontal(pl.col(a) * pl.col(f"to_{a}") for a in _AXES))
        lit = pl.col("facing") > 0
    beam = pl.col("dni") * pl.col("facing").clip(0, 1)
    from_sky = pl.col("dhi") * (1 + pl.col("to_up")) / 2
    from_ground = pl.col("ghi") * ALBEDO * (1 - pl.col("to_up")) / 2
    total = pl.when(pl.col("ghi") > 0).then(beam + from_sky + from_ground).otherwise(pl.col("ghi"))
    return sky.select(total.alias("w_per_m2")).to_series()

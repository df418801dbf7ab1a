"""POT's entropic Gromov-Wasserstein and Sinkhorn functions, by the same names and arguments, solved by gwrsa.

    import gwrsa.pot as ot_gromov        # in place of ot.gromov
    plan, log = ot_gromov.entropic_gromov_wasserstein(C1, C2, p, q, "square_loss", epsilon=5e-3, log=True)

Signatures, defaults, keys of `log`, warnings and errors are those of POT 0.9.7 (Flamary et al. 2021, https://jmlr.org/papers/v22/20-451.html).
Arrays may be numpy's or torch's; results have the type, dtype and device of the costs, and are computed in float64 on the CPU. Outer
steps are POT's own, none skipped or extrapolated, so that a limit such as `max_iter=10` gives the same plan; inner loops begin at the
potentials of the last one, which POT's do not. docs/from-pot.md says what else differs, and why.
"""

from gwrsa.pot.bapg import (
    BAPG_fused_gromov_wasserstein,
    BAPG_fused_gromov_wasserstein2,
    BAPG_gromov_wasserstein,
    BAPG_gromov_wasserstein2,
)
from gwrsa.pot.gromov import (
    entropic_fused_gromov_wasserstein,
    entropic_fused_gromov_wasserstein2,
    entropic_gromov_wasserstein,
    entropic_gromov_wasserstein2,
)
from gwrsa.pot.linear import sinkhorn, sinkhorn2

__all__ = [
    "BAPG_fused_gromov_wasserstein",
    "BAPG_fused_gromov_wasserstein2",
    "BAPG_gromov_wasserstein",
    "BAPG_gromov_wasserstein2",
    "entropic_fused_gromov_wasserstein",
    "entropic_fused_gromov_wasserstein2",
    "entropic_gromov_wasserstein",
    "entropic_gromov_wasserstein2",
    "sinkhorn",
    "sinkhorn2",
]

#!/usr/bin/env bash
# diffusers: DDIM with one step does not start from noise.
#
# Guess:  DDIMScheduler.set_timesteps(n) starts at the noisiest step, T - 1, whatever n is.
# Seen:   (diffusers 0.42.0) its spacing is `leading` by default: with n = 5 it starts at 800, with
#         n = 1 at 0, where the network is told that pure noise is nearly clean. `trailing` starts at
#         999 for both; `linspace` at 999 for five steps and at 0 for one.
# Matters: papers on pose lifting report one step, from T - 1.
# Exits 0 as long as this is so, 1 once it has changed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 numpy==2.4.6 diffusers==0.42.0
cd "$work"
venv/bin/python - <<'PY'
import sys

from diffusers import DDIMScheduler

seen = {}
for spacing in ("leading", "trailing", "linspace"):
    scheduler = DDIMScheduler(num_train_timesteps=1000, timestep_spacing=spacing)
    for steps in (1, 5):
        scheduler.set_timesteps(steps)
        seen[spacing, steps] = int(scheduler.timesteps[0])
print(seen, "| default:", DDIMScheduler().config.timestep_spacing)
wanted = {
    ("leading", 1): 0, ("leading", 5): 800, ("trailing", 1): 999, ("trailing", 5): 999,
    ("linspace", 1): 0, ("linspace", 5): 999,
}
default = DDIMScheduler().config.timestep_spacing
sys.exit(0 if seen == wanted and default == "leading" else "the behaviour has changed")
PY

"""From chunks to an output.

`outlet` puts three parts together: `attempts` (when, and one try), `sending` (its way to the output, and of what no
output takes to the dead letters), `outcome` (what a try has shown, and what becomes of what is not tried again).
"""

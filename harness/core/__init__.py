"""What every other room uses: errors, outcomes, units, delays, records, seeded chance, the strict base of models."""

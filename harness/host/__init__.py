"""The machine: processes, cgroups, the ledger, signals, caches, CPU partition, stressors, clocks."""

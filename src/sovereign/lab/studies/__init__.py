"""One file per paper: Claim, Source, Setup, Expected, Falsified if."""

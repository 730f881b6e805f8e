"""Language models and embedders behind the ports. Imports layers 0-1; every heavy library lazily."""
